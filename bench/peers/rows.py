"""Row-wise kernels and elementwise functions on (4096, 1024) float32. Argument: threads. Prints JSON: milliseconds."""
import json
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(int(sys.argv[1]))
SHAPE = (4096, 1024)
x = torch.randn(SHAPE, requires_grad=True)
gradient = torch.randn(SHAPE)
weight = torch.randn(SHAPE[1], requires_grad=True)
bias = torch.randn(SHAPE[1], requires_grad=True)
target = torch.randint(0, SHAPE[1], (SHAPE[0],))
copy = torch.randn(SHAPE)

operations = {
    "layerNorm": lambda: F.layer_norm(x, SHAPE[1:], weight, bias),
    "rmsNorm": lambda: F.rms_norm(x, SHAPE[1:], weight),
    "softmax": lambda: x.softmax(-1),
    "logSoftmax": lambda: x.log_softmax(-1),
    "softmax dim 0": lambda: x.softmax(0),
    "crossEntropy": lambda: F.cross_entropy(x, target),
    "gelu": lambda: F.gelu(x),
    "silu": lambda: F.silu(x),
}
elementwise = {
    "exp": lambda: x.exp(),
    "log": lambda: x.log(),
    "tanh": lambda: x.tanh(),
    "x * 2 + y, relu": lambda: (x * 2 + gradient).relu(),
}


def median(run):
    times = []
    for _ in range(13):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000)
    return sorted(times)[6]


def forward(operation):
    with torch.no_grad():
        operation()


def both(operation):
    for leaf in (x, weight, bias):
        leaf.grad = None
    y = operation()
    y.backward() if y.dim() == 0 else y.backward(gradient)


results = {"copy": median(lambda: copy.copy_(gradient))}
for name, operation in {**operations, **elementwise}.items():
    results[f"{name} forward"] = median(lambda: forward(operation))
for name, operation in operations.items():
    results[f"{name} forward+backward"] = median(lambda: both(operation))
print(json.dumps(results))
