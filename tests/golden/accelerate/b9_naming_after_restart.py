"""B9: automatic checkpoint naming after a restart, as Accelerate 1.15 does it.

python tests/golden/accelerate/b9_naming_after_restart.py
"""
import os
import subprocess
import sys
import tempfile

PROCESS = """
import sys
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration
folder, saves = sys.argv[1], int(sys.argv[2])
config = ProjectConfiguration(project_dir=folder, automatic_checkpoint_naming=True, total_limit=2)
accelerator = Accelerator(project_config=config, cpu=True)
import os
for i in range(saves):
    try:
        accelerator.save_state()
    except Exception as error:
        print(f"save {i + 1}: {type(error).__name__}: {str(error).replace(folder, 'FOLDER')[:100]}")
        break
    print(f"save {i + 1}:", sorted(os.listdir(f"{folder}/checkpoints")))
"""

with tempfile.TemporaryDirectory() as folder:
    for name in ["first process", "restarted"]:
        out = subprocess.run([sys.executable, "-c", PROCESS, folder, "4"], capture_output=True, text=True)
        print(f"{name}:\n{out.stdout}{out.stderr if out.returncode else ''}", end="")
