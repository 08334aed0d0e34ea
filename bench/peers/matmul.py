"""Square float32 matrix products. Argument: threads. Prints JSON: GFLOP/s by size."""
import json
import sys
import time

import torch

torch.set_num_threads(int(sys.argv[1]))
out = {}
for size in (64, 256, 512, 1024, 2048):
    a, b = torch.randn(size, size), torch.randn(size, size)
    flops = 2 * size**3
    repeats = max(3, -(-int(2e9) // flops))
    rates = []
    for _ in range(6):
        start = time.perf_counter()
        for _ in range(repeats):
            a @ b
        rates.append(flops * repeats / (time.perf_counter() - start) / 1e9)
    out[size] = round(sorted(rates)[3])
print(json.dumps(out))
