"""Prints format.json: how PyTorch 2.13 prints tensors. Run: python3 generate_format.py > format.json"""
import json

import torch

inf, nan = float("inf"), float("nan")
t = torch.tensor
cases = {
    "ints": torch.arange(6).reshape(2, 3), "whole": t([[1.0, 2.0], [3.0, -40.0]]), "frac": t([1.5, -0.25, 3.0]),
    "sci": t([1e-5, 1.0, 3.5]), "big": t([1e9, 1.0]), "nan": t([nan, 1.5, inf, -inf]), "bool": t([True, False]),
    "f64": t([0.5], dtype=torch.float64), "i32": t([1, -20], dtype=torch.int32), "scalar": t(3.25), "empty": t([]),
    "empty2": torch.zeros(0, 3), "cube": torch.arange(8.0).reshape(2, 2, 2), "long": torch.arange(40.0) / 7,
    "summary": torch.arange(2000.0), "summary2": torch.arange(2400).reshape(40, 60), "zeros": torch.zeros(2, 2),
    "half": t([1.5, 2]).bfloat16(),
    "nan beside whole numbers": t([nan, 1.0, inf, -inf, 0.0, -0.0]), "only nan": t([nan, nan]), "only zeros": t([0.0, -0.0]),
    "halves round to even": t([0.03125, 0.09375, -0.03125, 0.15625, 2.00005]), "halves in an exponent": t([1.00005e9, 1.00015e9, 16777215.0, 8388607.5, 1.0]).double(),
    "negative": t([-0.5, -123.25, 7.0]), "mixed signs": t([[-1.0, 10.0], [100.0, -1000.0]]), "small": t([1e-4, 2e-4]), "smaller": t([9e-5, 2e-4]),
    "wide range": t([0.001, 2.0]), "large whole": t([1e8, -3.0]), "larger whole": t([2e8, -3.0]), "exponents of three digits": t([1e-300, 1e200]).double(),
    "f16": t([1.5, 65504.0, -2e-5]).half(), "bf16 of fractions": (torch.arange(12.0) / 7).reshape(3, 4).bfloat16(), "f16 whole": t([1.0, -2.0]).half(),
    "u8": t([[0, 255], [7, 20]], dtype=torch.uint8), "large int64": t([2**62 + 1, -5]), "bools": t([[True, False], [False, False]]), "true": t(True), "int": t(-7),
    "zero": t(0.0), "nan scalar": t(nan), "tiny scalar": t(1e-7), "bf16 scalar": t(3.14159).bfloat16(), "empty int64": t([], dtype=torch.int64),
    "empty of three dimensions": torch.zeros(2, 0, 3, dtype=torch.int32), "empty bool": torch.zeros(0, 2, dtype=torch.bool), "one": t([1.0]), "one deep": torch.ones(1, 1, 1, 1),
    "four dimensions": torch.arange(24.0).reshape(2, 2, 2, 3) / 4, "suffix on a new line": torch.arange(12, dtype=torch.float64) / 7,
    "suffix on the same line": torch.arange(10, dtype=torch.int32) * 1000, "summarized rows": (torch.arange(3000.0) / 7).reshape(3, 1000),
    "summarized cube": torch.arange(1200).reshape(10, 10, 12).to(torch.int32), "summarized, wide": torch.arange(1001.0) * 1000.5, "exactly 1000": torch.arange(1000.0),
    "summarized float64": (torch.arange(1500, dtype=torch.float64) - 700) / 3, "long bool": torch.arange(60) % 3 == 0,
}


def enc(x):
    return str(x) if isinstance(x, float) and (x != x or x in (inf, -inf)) else str(x) if isinstance(x, int) and abs(x) > 2**53 else "-0" if x == 0 and str(x)[0] == "-" else x


def values(v):
    return v.flatten().tolist() if v.dtype in (torch.int64, torch.int32, torch.uint8) else v.double().flatten().tolist()


lines = [f"{json.dumps(k)}: " + json.dumps([str(v.dtype)[6:], list(v.shape), [enc(x) for x in values(v)], str(v).replace("torch.", "")]) for k, v in cases.items()]
print("{\n" + ",\n".join(lines) + "\n}")
