"""B15: gather of tensors of different shapes without debug mode, as Accelerate 1.15 does it over gloo.

python tests/golden/accelerate/b15_gather_shapes.py
"""
import torch
from _ranks import run
from accelerate import Accelerator


def main():
    accelerator = Accelerator(cpu=True)
    x = torch.ones(2 + accelerator.process_index, 3)
    print("gathers", list(x.shape), flush=True)
    print("got", list(accelerator.gather(x).shape), flush=True)


run(main, seconds=30)
