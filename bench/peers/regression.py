"""The regression program in PyTorch + Accelerate. Prints JSON with the median over epochs of microseconds a step.

Arguments: the number of epochs, and `cuda` to train on a GPU.
"""
import json
import resource
import statistics
import sys
import time

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 2
torch.manual_seed(0)
accelerator = Accelerator(cpu="cuda" not in sys.argv[2:])
model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
loader = DataLoader(TensorDataset(torch.randn(100, 10), torch.randn(100, 1)), batch_size=8)
model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
marks = [time.perf_counter()]
steps = 0
for epoch in range(epochs):
    total = 0
    for x, y in loader:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        accelerator.backward(loss)
        optimizer.step()
        total += loss.item()
        steps += 1
    marks.append(time.perf_counter())
per_step = [(b - a) * 1e6 * epochs / steps for a, b in zip(marks, marks[1:])]
if accelerator.is_main_process:
    print(json.dumps(dict(
        steps=steps,
        median=statistics.median(per_step),
        mean=(marks[-1] - marks[0]) * 1e6 / steps,
        residentBytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )))
