"""B3: what a checkpoint in the middle of an epoch says of the loader, as Accelerate 1.15 does it.

python tests/golden/accelerate/b3_loader_state.py
"""
import os
import tempfile

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from torch.utils.data import DataLoader, TensorDataset

with tempfile.TemporaryDirectory() as folder:
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True))
    loader = DataLoader(TensorDataset(torch.arange(8)), batch_size=2, shuffle=True)
    model, loader = accelerator.prepare(torch.nn.Linear(1, 1), loader)
    for step, _ in enumerate(loader):
        if step == 1:
            accelerator.save_state(f"{folder}/middle")
            break
    print("files:", sorted(os.listdir(f"{folder}/middle")))
