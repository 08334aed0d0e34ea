"""Fused optimizer steps. Argument: threads. Prints JSON: milliseconds of one step, and the share of the copy bandwidth."""
import json
import sys
import time

import torch

torch.set_num_threads(int(sys.argv[1]))
LARGE = 1 << 24


def measure(step, seconds=0.1):
    step()
    start = time.perf_counter()
    step()
    repeats = max(1, int(-(-seconds // (time.perf_counter() - start))))
    rounds = []
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        rounds.append((time.perf_counter() - start) / repeats * 1e3)
    return sorted(rounds)[3]


source, target = torch.randn(LARGE), torch.randn(LARGE)
copy = LARGE * 8 / measure(lambda: target.copy_(source)) / 1e6
results = {}


def row(name, count, size, size_bytes, make):
    params = [torch.nn.Parameter(torch.randn(size)) for _ in range(count)]
    for p in params:
        p.grad = torch.randn(size)
    ms = measure(make(params).step)
    results[name] = ms
    results[f"{name} % of copy"] = 100 * count * size * size_bytes / ms / 1e6 / copy


row("AdamW 16M", 1, LARGE, 28, lambda p: torch.optim.AdamW(p, fused=True))
row("AdamW 100 x 10k", 100, 10_000, 28, lambda p: torch.optim.AdamW(p, fused=True))
row("SGD momentum 16M", 1, LARGE, 20, lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9, fused=True))
row("SGD momentum 100 x 10k", 100, 10_000, 20, lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9, fused=True))
row("Adagrad 16M", 1, LARGE, 20, lambda p: torch.optim.Adagrad(p, fused=True))
print(json.dumps({k: float(f"{v:.4g}") for k, v in results.items()}))
