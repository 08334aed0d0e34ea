"""B14: gather_for_metrics over an iterable data set of 9 samples that every rank reads, as Accelerate 1.15 does it.

python tests/golden/accelerate/b14_metrics_of_a_stream.py
"""
import torch
from _ranks import run
from accelerate import Accelerator, DataLoaderConfiguration
from torch.utils.data import DataLoader, IterableDataset


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.arange(9))


def main():
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(dispatch_batches=False))
    loader = accelerator.prepare(DataLoader(Stream(), batch_size=2))
    metrics = []
    for batch in loader:
        metrics += accelerator.gather_for_metrics(batch).tolist()
    print(len(metrics), "values:", metrics)


run(main)
