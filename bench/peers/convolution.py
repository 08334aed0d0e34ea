"""Convolutions of usual shapes in PyTorch, float32. Argument: threads. Prints JSON: milliseconds, as bench/convolution.ts."""
import json
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(int(sys.argv[1]))
CASES = {
    "3x3 of 3 channels": ((32, 3, 32, 32), 32, 3, 1, 1, 1),
    "3x3": ((32, 64, 28, 28), 64, 3, 1, 1, 1),
    "3x3 of 7x7": ((32, 256, 7, 7), 256, 3, 1, 1, 1),
    "1x1": ((32, 64, 28, 28), 128, 1, 1, 0, 1),
    "3x3 stride 2": ((32, 64, 28, 28), 128, 3, 2, 1, 1),
    "7x7 stride 2": ((8, 3, 112, 112), 64, 7, 2, 3, 1),
    "depthwise 3x3": ((32, 64, 28, 28), 64, 3, 1, 1, 64),
}
results = {}


def measure(name, run):
    run()
    rounds = []
    for _ in range(9):
        start = time.perf_counter()
        run()
        rounds.append((time.perf_counter() - start) * 1e3)
    results[name] = sorted(rounds)[4]


for name, (shape, channels, kernel, stride, padding, groups) in CASES.items():
    x = torch.randn(shape, requires_grad=True)
    weight = torch.randn(channels, shape[1] // groups, kernel, kernel, requires_grad=True)
    bias = torch.randn(channels, requires_grad=True)

    def forward():
        return F.conv2d(x, weight, bias, stride, padding, 1, groups)

    def without_gradient():
        with torch.no_grad():
            forward()

    g = torch.randn(forward().shape)

    def both():
        x.grad = weight.grad = bias.grad = None
        (forward() * g).sum().backward()

    measure(f"{name}, forward", without_gradient)
    measure(f"{name}, forward and backward", both)
print(json.dumps(results))
