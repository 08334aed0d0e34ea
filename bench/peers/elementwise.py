"""Elementwise work and reductions of 4M float32. Argument: threads. Prints JSON: milliseconds by case."""
import json
import sys
import time

import torch

torch.set_num_threads(int(sys.argv[1]))
ROWS, COLS = 4096, 1024
a, b, row, column = torch.randn(ROWS, COLS), torch.randn(ROWS, COLS), torch.randn(COLS), torch.randn(ROWS, 1)
images, channels = torch.randn(32, 64, 28, 28), torch.randn(1, 64, 1, 1)
half, mask, scalar = a.bfloat16(), a > 0, torch.ones([])
cases = {
    "relu": lambda: a.relu(),
    "add": lambda: a + b,
    "mul": lambda: a * b,
    "add number": lambda: a + 1.5,
    "add scalar tensor": lambda: a + scalar,
    "add row": lambda: a + row,
    "mul column": lambda: a * column,
    "sub column": lambda: a - column,
    "div scalar tensor": lambda: a / scalar,
    "maximum row": lambda: a.maximum(row),
    "add channels": lambda: images + channels,
    "add transposed": lambda: a + b.reshape(COLS, ROWS).t(),
    "copy transposed": lambda: a.t().contiguous(),
    "compare": lambda: a > b,
    "add bfloat16": lambda: half + half,
    "to bfloat16": lambda: a.bfloat16(),
    "mask to float32": lambda: mask.float(),
    "sum dim 0": lambda: a.sum(0),
    "sum dim 1": lambda: a.sum(1),
    "sum all": lambda: a.sum(),
    "max dim 0": lambda: a.max(0),
    "argmax dim 1": lambda: a.argmax(1),
}
out = {}
for name, run in cases.items():
    times = []
    for _ in range(25):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    out[name] = round(min(times), 3)
print(json.dumps(out))
