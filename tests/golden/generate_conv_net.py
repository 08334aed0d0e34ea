"""Writes conv_net.json from PyTorch 2.13: start state, batches, losses of 20 steps and the state after them. Run: python3 generate_conv_net.py"""
import json
import pathlib

import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(
    nn.Conv2d(2, 4, 3, padding=1, bias=False),  # the gradient of a bias before a normalisation is only noise
    nn.BatchNorm2d(4),
    nn.ReLU(),
    nn.MaxPool2d(3, stride=2, padding=1),
    nn.Conv2d(4, 6, 3, stride=2, padding="valid", groups=2),
    nn.ReLU(),
    nn.AvgPool2d(2, ceil_mode=True),
    nn.Flatten(),
    nn.Linear(24, 8, bias=False),
    nn.BatchNorm1d(8, momentum=None),
    nn.ReLU(),
    nn.Linear(8, 3),
)
start = {k: v.clone() for k, v in net.state_dict().items()}
batches = [(torch.randn(5, 2, 13, 15), torch.randint(0, 3, (5,))) for _ in range(4)]
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
losses = []
for step in range(20):
    x, y = batches[step % 4]
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
net.eval()


def numbers(t):
    return [float(f"{v:.9g}") for v in t.double().flatten().tolist()]


out = dict(
    torch=torch.__version__,
    start={k: dict(shape=list(v.shape), values=numbers(v)) for k, v in start.items()},
    batches=[[numbers(x), y.tolist()] for x, y in batches],
    losses=losses,
    end={k: numbers(v) for k, v in net.state_dict().items() if k.split(".")[1] not in ("weight", "bias")},
    evaluated=numbers(net(batches[0][0])),
)
pathlib.Path(__file__).with_name("conv_net.json").write_text(json.dumps(out))
