"""B6: two models that are trained in turns with accumulation over 2, as Accelerate 1.15 synchronises them.

python tests/golden/accelerate/b6_two_models.py
"""
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
models = {name: accelerator.prepare(torch.nn.Linear(1, 1)) for name in "DG"}
flags = {name: [] for name in models}
for (x,) in accelerator.prepare(DataLoader(TensorDataset(torch.ones(8, 1)))):
    for name, model in models.items():
        with accelerator.accumulate(model):
            accelerator.backward(model(x).sum())
            flags[name].append(accelerator.sync_gradients)
for name, own in flags.items():
    print(name, own)
