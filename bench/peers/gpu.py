"""PyTorch's side of bench/gpu.ts: one JSON request a line on standard input, one JSON answer a line on standard output.

The first line says what runs: PyTorch, CUDA, the GPU. An answer has microseconds of one call by variant. The inputs of a case are kept from
one request for it to the next, and calls take turns on sets of inputs that no cache holds.
"""
import json
import math
import sys
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

DEVICE = sys.argv[1]
BEYOND_CACHE, MAX_SETS = 128 << 20, 64


def synchronize():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def rotating(size, make, run):
    sets = [make() for _ in range(min(MAX_SETS, math.ceil(BEYOND_CACHE / size)))]
    return lambda i: run(*sets[i % len(sets)])


def randn(*shape, dtype):
    return torch.randn(*shape, device=DEVICE).to(dtype)


def no_grad(run):
    def call(i):
        with torch.no_grad():
            run(i)

    return call


def matmul(c, dtype):
    def operand(rows, cols, flip):
        return randn(cols, rows, dtype=dtype).t() if flip else randn(rows, cols, dtype=dtype)

    m, n, k, layout = c["m"], c["n"], c["k"], c["layout"]
    size = (m * k + k * n) * dtype.itemsize
    make = lambda: (operand(m, k, layout[0] == "T"), operand(k, n, layout[1] == "T"))
    return {"torch": no_grad(rotating(size, make, torch.matmul))}


def rows(c, dtype):
    run = {
        "copy": lambda x, y: x.clone(),
        "add": lambda x, y: x.add(y),
        "gelu": lambda x, y: F.gelu(x),
        "layer-norm": lambda x, y: F.layer_norm(x, x.shape[1:]),
        "softmax": lambda x, y: x.softmax(-1),
    }[c["kind"]]
    make = lambda: (randn(c["rows"], c["cols"], dtype=dtype), randn(c["rows"], c["cols"], dtype=dtype))
    return {"torch": no_grad(rotating(2 * c["rows"] * c["cols"] * dtype.itemsize, make, run))}


def layer_norm_backward(c, dtype):
    def run(x, gradient):
        x.grad = None
        F.layer_norm(x, x.shape[1:]).backward(gradient)

    make = lambda: (randn(c["rows"], c["cols"], dtype=dtype).requires_grad_(), randn(c["rows"], c["cols"], dtype=dtype))
    return {"torch": rotating(2 * c["rows"] * c["cols"] * dtype.itemsize, make, run)}


def cross_entropy(c, dtype):
    def run(logits, target):
        logits.grad = None
        F.cross_entropy(logits, target).backward()

    make = lambda: (
        randn(c["rows"], c["cols"], dtype=dtype).requires_grad_(),
        torch.randint(0, c["cols"], (c["rows"],), device=DEVICE),
    )
    return {"torch": rotating(c["rows"] * c["cols"] * dtype.itemsize, make, run)}


def attention(c, dtype):
    shape = c["batch"], c["heads"], c["length"], c["dim"]
    backward = c["kind"] == "attention-backward"
    gradient = randn(*shape, dtype=dtype)
    backends = {"flash": SDPBackend.FLASH_ATTENTION}
    if DEVICE == "cuda":
        backends["cudnn"] = SDPBackend.CUDNN_ATTENTION

    def run_with(backend):
        def run(q, k, v):
            with sdpa_kernel(backend):
                if not backward:
                    with torch.no_grad():
                        F.scaled_dot_product_attention(q, k, v, is_causal=True)
                    return
                q.grad = k.grad = v.grad = None
                F.scaled_dot_product_attention(q, k, v, is_causal=True).backward(gradient)

        return run

    make = lambda: tuple(randn(*shape, dtype=dtype).requires_grad_(backward) for _ in range(3))
    size = 3 * math.prod(shape) * dtype.itemsize
    return {name: rotating(size, make, run_with(backend)) for name, backend in backends.items()}


def adamw(c, dtype):
    parameter = torch.nn.Parameter(torch.randn(c["elements"], device=DEVICE))
    parameter.grad = torch.randn(c["elements"], device=DEVICE)
    optimizer = torch.optim.AdamW([parameter], lr=1e-3, fused=True)
    return {"torch fused": lambda i: optimizer.step()}


KINDS = {
    "matmul": matmul,
    "copy": rows,
    "add": rows,
    "gelu": rows,
    "layer-norm": rows,
    "softmax": rows,
    "layer-norm forward + backward": layer_norm_backward,
    "cross-entropy": cross_entropy,
    "attention": attention,
    "attention-backward": attention,
    "adamw": adamw,
}

torch.manual_seed(0)
torch.backends.cuda.matmul.allow_tf32 = False
name = torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
print(json.dumps({"torch": torch.__version__, "cuda": torch.version.cuda or "none", "device": name}), flush=True)
known, programs = None, {}
for line in sys.stdin:
    request = json.loads(line)
    repeats = request.pop("repeats")
    if request != known:
        programs = {}  # frees the inputs of the case before
        known, programs = request, KINDS[request["kind"]](request, getattr(torch, request.get("dtype", "float32")))
        for run in programs.values():
            for i in range(3):
                run(i)
    times = {}
    for variant, run in programs.items():
        synchronize()
        start = time.perf_counter()
        for i in range(repeats):
            run(i)
        synchronize()
        times[variant] = (time.perf_counter() - start) * 1e6 / repeats
    print(json.dumps(times), flush=True)
