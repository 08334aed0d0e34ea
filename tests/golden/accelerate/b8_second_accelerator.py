"""B8: a second Accelerator in one process, as Accelerate 1.15 takes it.

python tests/golden/accelerate/b8_second_accelerator.py
"""
from accelerate import Accelerator

first = Accelerator(cpu=True, gradient_accumulation_steps=4)
print("first:", first.gradient_accumulation_steps)
second = Accelerator(cpu=True)
print("first:", first.gradient_accumulation_steps, "second:", second.gradient_accumulation_steps)
