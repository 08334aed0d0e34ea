"""B11: save_model() over an older, sharded save, as Accelerate 1.15 does it.

python tests/golden/accelerate/b11_stale_shards.py
"""
import os
import tempfile

import torch
from accelerate import Accelerator

with tempfile.TemporaryDirectory() as folder:
    accelerator = Accelerator(cpu=True)
    large = torch.nn.Sequential(*[torch.nn.Linear(100, 100) for _ in range(2)])
    accelerator.save_model(large, folder, max_shard_size="50KB")
    print("sharded:", sorted(os.listdir(folder)))
    accelerator.save_model(torch.nn.Linear(100, 100), folder)
    print("then a small model:", sorted(os.listdir(folder)))
