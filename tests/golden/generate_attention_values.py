"""Inputs of the goldens of attention and transformers."""
import torch


def values(shape, seed):
    """Numbers in [-1, 1) that the tests compute too."""
    count = 1
    for size in shape:
        count *= size
    return ((torch.arange(count, dtype=torch.float64) * 7919 + seed * 104729) % 1009 / 504.5 - 1).reshape(shape)
