"""B10: load_state() beside a partial and a stray directory, as Accelerate 1.15 does it.

python tests/golden/accelerate/b10_partial_checkpoint.py
"""
import os
import tempfile

import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration

with tempfile.TemporaryDirectory() as folder:
    config = ProjectConfiguration(project_dir=folder, automatic_checkpoint_naming=True)
    accelerator = Accelerator(project_config=config, cpu=True)
    model = accelerator.prepare(torch.nn.Linear(1, 1))
    accelerator.save_state()

    def attempt(what):
        try:
            accelerator.load_state()
            print(f"{what}: loaded")
        except Exception as error:
            print(f"{what}: {type(error).__name__}: {str(error).replace(folder, 'FOLDER')[:100]}")

    attempt("one complete checkpoint")
    os.makedirs(f"{folder}/checkpoints/checkpoint_1")
    attempt("a directory that a killed save left empty")
    os.rmdir(f"{folder}/checkpoints/checkpoint_1")
    os.makedirs(f"{folder}/checkpoints/best")
    attempt("a stray directory")
