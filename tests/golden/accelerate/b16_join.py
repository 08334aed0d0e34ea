"""B16: join_uneven_inputs on CPU ranks, of which the first has two batches and the second one, as Accelerate 1.15 does it.

python tests/golden/accelerate/b16_join.py
"""
import datetime

import torch
from _ranks import run
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import InitProcessGroupKwargs
from torch.utils.data import DataLoader, TensorDataset


def main():
    accelerator = Accelerator(
        cpu=True,
        dataloader_config=DataLoaderConfiguration(even_batches=False),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=datetime.timedelta(seconds=10))],
    )
    model, loader = accelerator.prepare(torch.nn.Linear(1, 1), DataLoader(TensorDataset(torch.ones(3, 1))))
    try:
        with accelerator.join_uneven_inputs([model], even_batches=False):
            for batch, (x,) in enumerate(loader):
                accelerator.backward(model(x).sum())
                print("batch", batch, flush=True)
        print("ended", flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)


run(main)
