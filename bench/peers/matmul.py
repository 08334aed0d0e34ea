"""Matrix products of matmul_cases.json. Argument: threads. Prints JSON: GFLOP/s of each."""
import json
import pathlib
import sys
import time

import torch

torch.set_num_threads(int(sys.argv[1]))
torch.set_grad_enabled(False)


def operand(batch, rows, cols, flipped, dtype):
    lead = [] if batch == 1 else [batch]
    x = torch.randn(*lead, *((cols, rows) if flipped else (rows, cols))).to(dtype)
    return x.transpose(-2, -1) if flipped else x


def seconds(repeats, a, b):
    start = time.perf_counter()
    for _ in range(repeats):
        a @ b
    return time.perf_counter() - start


def rate(flops, a, b):
    repeats = 1
    while seconds(repeats, a, b) < 0.005:
        repeats *= 2
    return flops * repeats / sorted(seconds(repeats, a, b) for _ in range(7))[3] / 1e9


out = {}
for case in json.loads(pathlib.Path(__file__).parent.with_name("matmul_cases.json").read_text()):
    batch, m, n, k, layout = (case[key] for key in ("batch", "m", "n", "k", "layout"))
    dtype = getattr(torch, case["dtype"])
    a, b = operand(batch, m, k, layout == "TN", dtype), operand(batch, k, n, layout == "NT", dtype)
    out[case["name"]] = rate(2 * batch * m * n * k, a, b)
print(json.dumps(out))
