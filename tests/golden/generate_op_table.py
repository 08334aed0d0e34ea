"""Writes op_table/<family>.json: PyTorch 2.13's values for the rows of tests/op_table.ts.

Run from anywhere: python3 tests/golden/generate_op_table.py [family...]      (deno must be in PATH)

For each case of a row it holds, computed in float64: the outputs and the gradients of sum(output * weights) with the weights of
`weights()`. For float32, bfloat16 and float16 it holds only PyTorch's own largest error, against float64 on the same (rounded) inputs;
null where PyTorch refuses the dtype. Of tensors of more than SAMPLES elements it holds SAMPLES evenly spread ones.
A case that PyTorch refuses is {"error": message}.
"""
import json
import math
import pathlib
import subprocess
import sys
import warnings

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
SAMPLES = 192
LOW = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
warnings.simplefilter("ignore")


def number(v):
    if math.isnan(v) or math.isinf(v):
        return str(v)
    v = float(f"{v:.14g}")
    return int(v) if v.is_integer() and abs(v) < 2**53 else v


def packed(t):
    flat = t.detach().double().flatten()
    if flat.numel() > SAMPLES:
        flat = flat[torch.arange(SAMPLES, dtype=torch.int64) * flat.numel() // SAMPLES]
    return [number(v) for v in flat.tolist()]


def weights(t):
    """Exact in every dtype; their mean is not zero and no two neighbours are equal."""
    return (((torch.arange(t.numel(), dtype=torch.int64) * 5) % 16 - 6).to(t.dtype) / 8).reshape(t.shape)


def inputs_of(row, case, dtype, widen):
    out = []
    for shape, values, fixed in zip(case["shapes"], case["values"], row["dtypes"]):
        source = torch.tensor([float(v) for v in values], dtype=torch.float64)
        if fixed is not None:
            out.append(source.to(getattr(torch, fixed)).reshape(shape))
            continue
        rounded = source.float().to(dtype)
        out.append((rounded.double() if widen else rounded).reshape(shape).requires_grad_(row["gradient"]))
    return out


def evaluate(row, case, dtype, widen=False):
    """Outputs, and gradients of the floating inputs or None."""
    inputs = inputs_of(row, case, dtype, widen)
    scope = dict(torch=torch, F=F, math=math, dtype=torch.float64 if widen else dtype)
    scope.update(zip("abcdefghij", inputs))
    result = eval(row["torch"], scope)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    roots = [o for o in outputs if o.requires_grad]
    if not row["gradient"] or not roots:
        return outputs, None
    sum((o * weights(o)).sum() for o in roots).backward()
    return outputs, [t.grad for t in inputs]


def worst(low, reference):
    if low is None or reference is None:
        return None
    difference = (low.detach().double() - reference.detach().double()).abs()
    difference = difference[difference.isfinite()]
    return float(f"{difference.max().item():.3g}") if difference.numel() else 0


def dtype_name(per_run):
    names = [str(d).removeprefix("torch.") for d in per_run.values()]
    return "run" if names == list(per_run.keys()) else names[0] if len(set(names)) == 1 else dict(zip(per_run, names))


def golden_case(row, case):
    try:
        outputs, gradients = evaluate(row, case, torch.float64)
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        return {"error": str(error).split("\n")[0][:120]}
    out = [dict(shape=list(o.shape), dtype={"float64": o.dtype}, values=packed(o), error={}) for o in outputs]
    grad = None if gradients is None else [None if g is None else dict(values=packed(g), error={}) for g in gradients]
    for name, dtype in LOW.items() if row["floating"] else ():
        if name != "float32" and not row["lowPrecision"]:
            continue
        try:
            reference, reference_grad = evaluate(row, case, dtype, widen=True)
            low, low_grad = evaluate(row, case, dtype)
        except RuntimeError:
            for each in [*out, *(g for g in grad or [] if g)]:
                each["error"][name] = None
            continue
        for each, a, b in zip(out, low, reference):
            each["dtype"][name] = a.dtype
            each["error"][name] = worst(a, b)
        for each, a, b in zip(grad or [], low_grad or [], reference_grad or []):
            if each is not None:
                each["error"][name] = worst(a, b)
    for each in out:
        each["dtype"] = dtype_name(each["dtype"])
    return dict(out=out) if grad is None else dict(out=out, grad=grad)


exported = subprocess.run(
    ["deno", "run", "-A", str(HERE / "export_op_table.ts"), *sys.argv[1:]], check=True, stdout=subprocess.PIPE
).stdout
for family, rows in json.loads(exported).items():
    if not rows:
        continue
    golden = {}
    for row in rows:
        cases = {case["name"]: golden_case(row, case) for case in row["cases"]}
        refused = [f"{name}: {case['error']}" for name, case in cases.items() if "error" in case]
        if "error" in cases["base"] or any(name.startswith("shape") for name in refused):
            sys.exit(f'{family}: PyTorch refuses row "{row["name"]}": {refused}')
        for line in refused:
            print(f'{family}: note: PyTorch refuses "{row["name"]}" {line}')
        golden[row["name"]] = dict(fingerprint=row["fingerprint"], cases=cases)
    # One row a line, so that changes of different rows merge.
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in golden.items())
    text = "{\n" + lines + "\n}\n"
    (HERE / "op_table" / f"{family}.json").write_text(text)
    print(f"{family}: {len(golden)} rows, {len(text)} bytes")
    if len(text) >= 1_000_000:
        sys.exit(f"{family}.json has {len(text)} bytes: use smaller shapes, at most 1 MB")
