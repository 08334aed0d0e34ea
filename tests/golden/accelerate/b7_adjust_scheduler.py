"""B7: GradientAccumulationPlugin(adjust_scheduler=True), the default that the documentation names, as Accelerate 1.15 reads it.

python tests/golden/accelerate/b7_adjust_scheduler.py
"""
from accelerate import Accelerator
from accelerate.state import GradientState
from accelerate.utils import GradientAccumulationPlugin

for adjust in [True, False]:
    plugin = GradientAccumulationPlugin(num_steps=2, adjust_scheduler=adjust)
    Accelerator(cpu=True, gradient_accumulation_plugin=plugin)
    print(f"asked for {adjust}, got {GradientState().adjust_scheduler}")
