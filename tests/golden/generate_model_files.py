"""Model files as Accelerate and safetensors write them: one file, shards with an index, and tied weights.

python tests/golden/generate_model_files.py
"""
import os
import shutil

import torch
from accelerate import Accelerator
from safetensors.torch import save_model

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "model_files")


def fill(model):
    """Deterministic weights that tell every element from the others."""
    position = 0
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_((torch.arange(position, position + tensor.numel()) / 8).reshape(tensor.shape))
        else:
            tensor.fill_(position)
        position += tensor.numel()
    return model


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(5, 3)
        self.head = torch.nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight


shutil.rmtree(ROOT, ignore_errors=True)
os.makedirs(f"{ROOT}/tied")
accelerator = Accelerator(cpu=True)
model = fill(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 5)))
accelerator.save_model(model, f"{ROOT}/single")
accelerator.save_model(model, f"{ROOT}/sharded", max_shard_size=100)
save_model(fill(Tied()), f"{ROOT}/tied/model.safetensors")
