"""B12: reduce(x, "none"), which the documentation calls no operation, as Accelerate 1.15 does it.

python tests/golden/accelerate/b12_reduce_none.py
"""
import torch
from _ranks import run
from accelerate import Accelerator


def main():
    accelerator = Accelerator(cpu=True)
    x = torch.tensor([1.0, 2.0]) * (accelerator.process_index + 1)
    print(x.tolist(), "->", accelerator.reduce(x, "none").tolist())


run(main)
