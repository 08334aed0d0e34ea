"""B13: gather_object of a string, as Accelerate 1.15 does it.

python tests/golden/accelerate/b13_gather_object.py
"""
from _ranks import run
from accelerate import Accelerator
from accelerate.utils import gather_object


def main():
    accelerator = Accelerator(cpu=True)
    print(gather_object(f"ab{accelerator.process_index}"))


run(main)
