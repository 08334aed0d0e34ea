"""Prints ops.json: values of PyTorch 2.13, computed in float32. Run: python3 generate_ops.py > ops.json"""
import json

import torch
import torch.nn.functional as F

inf, nan = float("inf"), float("nan")
X = torch.tensor([-2.5, -1.0, -0.0, 0.0, 1e-4, 0.3, 0.5, 1.0, 1.5, 2.5, 9.0, inf, -inf, nan])
A = torch.tensor([-2.0, -1.5, 0.0, 0.0, 3.0, 2.0, inf, nan, 1.0, -inf])
B = torch.tensor([1.0, -1.5, 0.0, 2.0, -2.0, 0.5, inf, 1.0, nan, 3.0])
M = torch.tensor([[3.0, -1.0, 2.0], [0.5, 7.0, -4.0]])


def enc(t):
    return [str(v) if v != v or v in (inf, -inf) else v for v in t.double().flatten().tolist()]


# GELU in float64: PyTorch's float32 ones lose digits where 1 + erf or 1 + tanh cancels, and give NaN for +infinity in one code path.
unary = {
    "neg": -X, "abs": X.abs(), "sign": X.sign(), "square": X.square(), "relu": X.relu(), "reciprocal": X.reciprocal(), "exp": X.exp(),
    "expm1": X.expm1(), "log": X.log(), "log1p": X.log1p(), "sqrt": X.sqrt(), "rsqrt": X.rsqrt(), "sin": X.sin(), "cos": X.cos(),
    "tanh": X.tanh(), "sigmoid": X.sigmoid(), "gelu": F.gelu(X.double()).float(), "geluTanh": F.gelu(X.double(), approximate="tanh").float(), "silu": F.silu(X),
    "erf": X.erf(), "floor": X.floor(), "ceil": X.ceil(), "round": X.round(), "addScalar": X + 0.7, "mulScalar": X * 0.7,
    "rsubScalar": 0.7 - X, "divScalar": X / 0.7, "rdivScalar": 0.7 / X, "powScalar": X**0.7, "clamp": X.clamp(0.7, 1.2),
}
binary = {
    "add": A + B, "sub": A - B, "mul": A * B, "div": A / B, "pow": A**B, "maximum": torch.maximum(A, B), "minimum": torch.minimum(A, B),
}
compare = {"eq": A == B, "ne": A != B, "lt": A < B, "le": A <= B, "gt": A > B, "ge": A >= B}
reduce = {
    "sum": M.sum(), "sum 0": M.sum(0), "sum 1": M.sum(1), "mean": M.mean(), "mean 0": M.mean(0), "max": M.max(), "max 1": M.max(1).values,
    "min 0": M.min(0).values, "argmax": M.argmax(), "argmax 0": M.argmax(0), "argmin 1": M.argmin(1), "var": M.var(), "var 1": M.var(1),
}
print(json.dumps(dict(
    torch=torch.__version__, x=enc(X), a=enc(A), b=enc(B), m=enc(M), unary={k: enc(v) for k, v in unary.items()},
    binary={k: enc(v) for k, v in binary.items()}, compare={k: enc(v) for k, v in compare.items()}, reduce={k: enc(v) for k, v in reduce.items()},
)))
