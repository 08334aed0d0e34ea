"""B1 and B2: the samples after a resume in the middle of a shuffled epoch, as Accelerate 1.15 gives them.

python tests/golden/accelerate/b1_resume_order.py
"""
import subprocess
import sys
import tempfile

PROCESS = """
import sys
import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, set_seed
from torch.utils.data import DataLoader, TensorDataset
mode, folder, seedable = sys.argv[1], sys.argv[2], sys.argv[3] == "seedable"
set_seed(3)
accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(use_seedable_sampler=seedable))
loader = DataLoader(TensorDataset(torch.arange(8)), batch_size=2, shuffle=True)
model, loader = accelerator.prepare(torch.nn.Linear(1, 1), loader)
read = lambda active: [batch[0].tolist() for batch in active]
if mode == "whole":
    print("epoch 0:", read(loader))
    epoch = []
    for step, batch in enumerate(loader):
        epoch.append(batch[0].tolist())
        if step == 1:
            accelerator.save_state(folder)
    print("epoch 1:", epoch)
    print("epoch 2:", read(loader))
else:
    accelerator.load_state(folder)
    print("epoch 1, rest:", read(accelerator.skip_first_batches(loader, 2)))
    print("epoch 2:", read(loader))
"""

for sampler in ["default", "seedable"]:
    with tempfile.TemporaryDirectory() as folder:
        for mode in ["whole", "resumed"]:
            print(f"{sampler} sampler, {mode}:", flush=True)
            subprocess.run([sys.executable, "-W", "ignore", "-c", PROCESS, mode, folder, sampler], check=True)
