"""Writes random.json: words, permutations and sample orders of PyTorch 2.13's CPU generator, and orders of Accelerate 1.15's
SeedableRandomSampler. Run: python3 generate_random.py"""
import json
import pathlib

import accelerate
import torch
from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import DataLoader, RandomSampler, SubsetRandomSampler, TensorDataset, WeightedRandomSampler, random_split

SEEDS = [0, 1, 42, 12345, 2**32 - 1, 2**32 + 5, 2**53 - 1, -1]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def digest(values):
    h = 0
    for v in values:
        h = (h * 31 + v) % 2**32
    return h


def permutation(n, seed):
    order = torch.randperm(n, generator=seeded(seed)).tolist()
    return dict(n=n, seed=seed, head=order[:12], digest=digest(order))


def torch_loader(n, batch, drop):
    data = TensorDataset(torch.arange(n))
    loader = DataLoader(data, batch_size=batch, shuffle=True, drop_last=drop, generator=seeded(7))
    return [[x.tolist() for (x,) in loader] for _ in range(4)]


def seedable(n):
    sampler = SeedableRandomSampler(range(n), data_seed=42)
    return [list(sampler) for _ in range(4)]


def again(sampler, count=3):
    return [list(sampler) for _ in range(count)]


WEIGHTS = [0.1, 0.9, 0.0, 0.4, 0.7, 3.0, 0.6, 0.0]
out = dict(
    torch=torch.__version__,
    accelerate=accelerate.__version__,
    permutations=[permutation(n, seed) for n in (0, 1, 2, 3, 10, 623, 1000, 30000) for seed in SEEDS],
    float32=torch.rand(8, generator=seeded(42)).double().tolist(),
    float64=torch.rand(8, generator=seeded(42), dtype=torch.float64).tolist(),
    int64=[str(torch.empty((), dtype=torch.int64).random_(generator=seeded(s)).item()) for s in SEEDS],
    randint={str(h): torch.randint(h, (700,), generator=seeded(3)).tolist()[-4:] for h in (1, 10, 2**28 - 1, 2**28, 2**31, 2**40)},
    loaders=[dict(n=n, batch=b, drop=d, epochs=torch_loader(n, b, d)) for n, b, d in ((10, 3, False), (10, 3, True), (12, 4, False))],
    seedable=seedable(8),
    samplers=dict(
        plain=again(RandomSampler(range(9), generator=seeded(5))),
        replacement=again(RandomSampler(range(9), replacement=True, num_samples=70, generator=seeded(5))),
        fewer=again(RandomSampler(range(9), num_samples=4, generator=seeded(5))),
        more=again(RandomSampler(range(9), num_samples=25, generator=seeded(5))),
        subset=again(SubsetRandomSampler([3, 1, 4, 15, 9, 2], generator=seeded(5))),
        weighted=again(WeightedRandomSampler(WEIGHTS, 40, generator=seeded(5))),
        weightedOne=again(WeightedRandomSampler(WEIGHTS, 1, generator=seeded(5))),
        weightedOnce=again(WeightedRandomSampler(WEIGHTS, 5, replacement=False, generator=seeded(5))),
    ),
    weights=WEIGHTS,
    splits=[
        dict(n=n, lengths=lengths, parts=[list(s.indices) for s in random_split(range(n), lengths, generator=seeded(3))])
        for n, lengths in ((10, [3, 7]), (10, [0.3, 0.3, 0.4]), (11, [0.5, 0.25, 0.25]), (7, [0, 5, 2]))
    ],
)
pathlib.Path(__file__).with_name("random.json").write_text(json.dumps(out))
