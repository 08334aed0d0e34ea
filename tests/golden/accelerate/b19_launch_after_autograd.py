"""B19: debug_launcher after this process has used autograd, as Accelerate 1.15 takes it.

python tests/golden/accelerate/b19_launch_after_autograd.py
"""
import subprocess
import sys

PROCESS = """
import sys
import torch
from accelerate import Accelerator, debug_launcher

def train():
    accelerator = Accelerator(cpu=True)
    model = accelerator.prepare(torch.nn.Linear(64, 64))
    accelerator.backward(model(torch.ones(64, 64)).sum())
    accelerator.print("trained")

if sys.argv[1] == "after":
    torch.nn.Linear(512, 512)(torch.ones(512, 512)).sum().backward()
debug_launcher(train, num_processes=2)
"""

for order in ["before", "after"]:
    try:
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROCESS, order], capture_output=True, text=True, timeout=60)
        lines = [line for line in done.stdout.splitlines() if "Launching" not in line]
        print(f"launched {order} autograd was used:", lines, "exit code", done.returncode)
    except subprocess.TimeoutExpired:
        print(f"launched {order} autograd was used: hangs, killed after 60 s")
