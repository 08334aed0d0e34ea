"""The net of examples/mnist_cnn.ts in PyTorch. Argument: threads. Prints JSON: milliseconds of an epoch, as bench/cnn_epoch.ts."""
import json
import math
import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(0)
COUNT, BATCH, EPOCHS = 8000, 64, 3
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1, bias=False),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1, bias=False),
    nn.BatchNorm2d(32),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(32 * 7 * 7, 10),
)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
images = torch.randn(COUNT, 1, 28, 28)
labels = torch.randint(0, 10, (COUNT,))
loader = DataLoader(TensorDataset(images, labels), batch_size=BATCH, shuffle=True)


def step(x, y):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def median(batches):
    times = []
    for i in range(EPOCHS + 1):
        start = time.perf_counter()
        total = sum(step(x, y) for x, y in batches())
        assert math.isfinite(total)
        if i > 0:
            times.append((time.perf_counter() - start) * 1e3)
    return sorted(times)[EPOCHS // 2]


print(json.dumps(dict(
    loader=median(lambda: loader),
    inOrder=median(lambda: ((images[i:i + BATCH], labels[i:i + BATCH]) for i in range(0, COUNT, BATCH))),
)))
