"""Prints attention.json: scaled_dot_product_attention of PyTorch 2.13 in float64 and 16-bit. Run: python3 generate_attention.py > attention.json"""
import json

import torch
import torch.nn.functional as F
from generate_attention_values import values


def flat(tensor):
    return [str(v) if v in (float("inf"), float("-inf")) else v for v in tensor.double().flatten().tolist()]


def bool_mask(shape, seed):
    return values(shape, seed) > -0.4


CASES = [
    dict(name="plain", q=[2, 3, 5, 8], k=[2, 3, 7, 8], v=[2, 3, 7, 6]),
    dict(name="scale", q=[1, 2, 5, 4], k=[1, 2, 5, 4], v=[1, 2, 5, 4], scale=0.3),
    dict(name="causal", q=[2, 2, 6, 4], k=[2, 2, 6, 4], v=[2, 2, 6, 4], causal=True),
    dict(name="causal, more keys", q=[1, 2, 4, 4], k=[1, 2, 7, 4], v=[1, 2, 7, 4], causal=True),
    dict(name="causal, more queries", q=[1, 2, 7, 4], k=[1, 2, 4, 4], v=[1, 2, 4, 4], causal=True),
    dict(name="bool mask", q=[2, 2, 5, 4], k=[2, 2, 7, 4], v=[2, 2, 7, 4], bool=[5, 7]),
    dict(name="bool mask of each batch and key", q=[2, 2, 5, 4], k=[2, 2, 7, 4], v=[2, 2, 7, 4], bool=[2, 1, 1, 7]),
    dict(name="bool mask with rows that see nothing", q=[1, 2, 4, 4], k=[1, 2, 5, 4], v=[1, 2, 5, 4], bool=[4, 5], blind=[1, 3]),
    dict(name="added mask", q=[2, 2, 5, 4], k=[2, 2, 7, 4], v=[2, 2, 7, 4], added=[2, 2, 5, 7]),
    dict(name="added mask of each head, broadcast", q=[2, 2, 5, 4], k=[2, 2, 7, 4], v=[2, 2, 7, 4], added=[2, 1, 7]),
    dict(name="added mask with rows that see nothing", q=[1, 1, 4, 4], k=[1, 1, 5, 4], v=[1, 1, 5, 4], added=[4, 5], blind=[0, 2]),
    dict(name="added mask without a gradient", q=[1, 1, 4, 4], k=[1, 1, 5, 4], v=[1, 1, 5, 4], added=[4, 5], blind=[2], fixed=True),
    dict(name="fewer key heads", q=[2, 6, 5, 4], k=[2, 2, 7, 4], v=[2, 2, 7, 4], gqa=True),
    dict(name="fewer key heads, causal", q=[1, 4, 6, 4], k=[1, 1, 6, 4], v=[1, 1, 6, 4], gqa=True, causal=True),
    dict(name="three dimensions", q=[3, 5, 4], k=[3, 6, 4], v=[3, 6, 4], bool=[3, 5, 6]),
    dict(name="two dimensions", q=[5, 4], k=[6, 4], v=[6, 3]),
    dict(name="five dimensions", q=[2, 1, 3, 4, 4], k=[2, 2, 3, 5, 4], v=[1, 2, 3, 5, 4], bool=[2, 1, 3, 4, 5]),
    dict(name="broadcast batches", q=[2, 1, 3, 4], k=[1, 2, 5, 4], v=[2, 5, 6]),
    dict(name="no dim", q=[1, 1, 3, 0], k=[1, 1, 4, 0], v=[1, 1, 4, 2], scale=1.0),
    dict(name="no key", q=[1, 1, 3, 2], k=[1, 1, 0, 2], v=[1, 1, 0, 2]),
]

out = []
for case in CASES:
    q, k, v = [values(case[name], seed).requires_grad_() for seed, name in enumerate("qkv")]
    mask = None
    if "bool" in case:
        mask = bool_mask(case["bool"], 3)
    if "added" in case:
        mask = values(case["added"], 3)
        mask[..., 1::3] = float("-inf")
    for row in case.get("blind", []):
        mask[..., row, :] = False if "bool" in case else float("-inf")
    leaves = [q, k, v]
    if "added" in case and not case.get("fixed"):
        leaves.append(mask.requires_grad_())
    y = F.scaled_dot_product_attention(
        q, k, v, mask, is_causal=case.get("causal", False), scale=case.get("scale"), enable_gqa=case.get("gqa", False)
    )
    grads = torch.autograd.grad((y * values(list(y.shape), 9)).sum(), leaves)
    out.append(dict(case, shape=list(y.shape), out=flat(y), grads=[flat(g) for g in grads]))

# 16-bit: what PyTorch computes, and the largest error of its values, relative to float64.
low = []
for dtype in (torch.bfloat16, torch.float16):
    for causal in (False, True):
        shape = [2, 2, 33, 16]
        q, k, v = [values(shape, seed).to(dtype) for seed in range(3)]
        weights = values(shape, 9).to(dtype)

        def run(*inputs):
            leaves = [x.clone().requires_grad_() for x in inputs[:3]]
            y = F.scaled_dot_product_attention(*leaves, is_causal=causal)
            return [y.detach(), *torch.autograd.grad(y, leaves, inputs[3])]

        exact = run(q.double(), k.double(), v.double(), weights.double())
        rough = run(q, k, v, weights)
        errors = [(a.double() - b).abs().max().item() for a, b in zip(rough, exact)]
        low.append(dict(dtype=str(dtype).split(".")[1], causal=causal, shape=shape, errors=errors))
print(json.dumps(dict(torch=torch.__version__, cases=out, low=low)))
