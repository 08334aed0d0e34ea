"""The bytes of TensorBoard events, from its own protocol buffers and record writer. Needs the package tensorboard.

python tests/golden/generate_tfevents.py
"""
import io
import json
import os

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.summary.writer.record_writer import RecordWriter


def scalars(step, **values):
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
    return Event(wall_time=1700000000.25, step=step, summary=summary)


def text(step, tag, string):
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    tensor = TensorProto(
        dtype="DT_STRING",
        string_val=[string.encode()],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )
    value = Summary.Value(tag=f"{tag}/text_summary", metadata=metadata, tensor=tensor)
    return Event(wall_time=1700000000.25, step=step, summary=Summary(value=[value]))


events = {
    "version": Event(wall_time=1700000000.25, file_version="brain.Event:2"),
    "scalars": scalars(300, loss=0.5, accuracy=-1.25),
    "step 0": scalars(0, loss=3.0),
    "text": text(7, "notes", "**hello** é"),
}
out = {}
for name, event in events.items():
    file = io.BytesIO()
    RecordWriter(file).write(event.SerializeToString())
    out[name] = file.getvalue().hex()
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tfevents.json")
with open(path, "w") as file:
    json.dump(out, file, indent=1)
    file.write("\n")
