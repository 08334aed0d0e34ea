"""Mixed precision in PyTorch 2.13 on the CPU: losses of training steps, and traces of GradScaler. Run: python tests/golden/generate_autocast.py"""
import json
import pathlib

import torch
from torch import nn

torch.manual_seed(0)


def wave(*shape, seed):
    count = int(torch.tensor(shape).prod())
    return torch.sin(torch.arange(count, dtype=torch.float64) * 0.7 + seed).float().reshape(shape)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, x):
        return self.second(torch.nn.functional.gelu(self.norm(self.first(x))))


def losses(dtype):
    net = Net()
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(wave(*p.shape, seed=i) * 0.5)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    out = []
    for step in range(20):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            loss = nn.functional.mse_loss(net(wave(6, 8, seed=step)), wave(6, 4, seed=step + 0.5))
        loss.backward()
        optimizer.step()
        out.append(loss.item())
    return out


def trace(pattern, **settings):
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    scaler = torch.amp.GradScaler("cpu", **settings)
    out = []
    for bad in pattern:
        optimizer.zero_grad()
        scaler.scale(weight.sum() * (float("inf") if bad else 1)).backward()
        scaler.step(optimizer)
        scaler.update()
        out.append([scaler.get_scale(), scaler._get_growth_tracker(), weight.item()])
    return out


pattern = [0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0]
path = pathlib.Path(__file__).with_name("autocast.json")
path.write_text(json.dumps({
    "torch": torch.__version__,
    "losses": {"float32": losses(torch.float32), "bfloat16": losses(torch.bfloat16)},
    "trace": {
        "pattern": pattern,
        "settings": {"initScale": 8, "growthFactor": 2, "backoffFactor": 0.5, "growthInterval": 3},
        "rows": trace(pattern, init_scale=8.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=3),
    },
}, indent=1) + "\n")
