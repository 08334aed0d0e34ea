"""Prints transformer.json: MultiheadAttention and encoder layers of PyTorch 2.13 in float64. Run: python3 generate_transformer.py > transformer.json"""
import json

import torch
from generate_attention_values import values
from torch import nn

torch.set_default_dtype(torch.float64)


def flat(tensor):
    return [str(v) if v != v else v for v in tensor.flatten().tolist()]


def fill(module):
    """Parameters in the order of the state dict; the tests fill theirs in the same way."""
    with torch.no_grad():
        for seed, parameter in enumerate(module.state_dict().values()):
            parameter.copy_(values(list(parameter.shape), 20 + seed) * 0.5)


def record(case, module, inputs, run):
    fill(module)
    leaves = [x.requires_grad_() for x in inputs]
    outputs = run(*leaves)
    total = sum((y * values(list(y.shape), 90 + i)).sum() for i, y in enumerate(outputs) if y is not None)
    total.backward()
    return dict(
        case,
        keys=list(module.state_dict().keys()),
        outputs=[None if y is None else flat(y) for y in outputs],
        inputGrads=[flat(x.grad) for x in leaves],
        grads=[None if p.grad is None else flat(p.grad) for p in module.parameters()],
    )


E, H = 8, 2
PAD = torch.tensor([[False, False, False, True], [False, True, False, False]])
MASK = values([3, 4], 7) > 0.5
MASK[:, 0] = False

attention = []
CASES = [
    dict(name="self", same=True),
    dict(name="self, no weights", same=True, weights=False),
    dict(name="self, causal, no weights", same=True, weights=False, causal=True),
    dict(name="self, causal, weights", same=True, causal=True),
    dict(name="self, batch first, no weights, no bias", same=True, weights=False, batchFirst=True, bias=False),
    dict(name="self, padding, no weights", same=True, weights=False, batchFirst=True, padding=True),
    dict(name="self, without a batch", same=True, unbatched=True),
    dict(name="cross", masks=True),
    dict(name="cross, batch first, weights of each head", batchFirst=True, average=False, padding=True),
    dict(name="cross, no weights, masks", batchFirst=True, weights=False, padding=True, masks=True),
    dict(name="cross, a mask of each head that is added", weights=False, headMasks=True),
    dict(name="cross, keys and values of another size", kdim=5, vdim=6, masks=True),
    dict(name="cross, keys and values of another size, without a batch", kdim=5, vdim=6, unbatched=True, weights=False),
]
for case in CASES:
    module = nn.MultiheadAttention(
        E, H, bias=case.get("bias", True), kdim=case.get("kdim"), vdim=case.get("vdim"), batch_first=case.get("batchFirst", False)
    )

    def shape(length, dim):
        if case.get("unbatched"):
            return [length, dim]
        return [2, length, dim] if case.get("batchFirst") else [length, 2, dim]

    if case.get("same"):
        inputs = [values(shape(4, E), 1)]
    else:
        inputs = [values(shape(3, E), 1), values(shape(4, case.get("kdim", E)), 2), values(shape(4, case.get("vdim", E)), 3)]
    mask = MASK if case.get("masks") else None
    if case.get("headMasks"):
        mask = values([2 * H, 3, 4], 8)
    if case.get("causal"):
        mask = torch.ones(4, 4).triu(1).bool()
    need = case.get("weights", True)

    def run(*x):
        q, k, v = x * 3 if len(x) == 1 else x
        return module(
            q, k, v, key_padding_mask=PAD if case.get("padding") else None, attn_mask=mask, need_weights=need,
            is_causal=case.get("causal", False), average_attn_weights=case.get("average", True),
        )

    attention.append(record(case, module, inputs, run))

layers = []
CASES = [
    dict(name="default"),
    dict(name="norm first, GELU, batch first, causal", options=dict(normFirst=True, activation="gelu", batchFirst=True), causal=True),
    dict(name="no bias, padding", options=dict(bias=False, batchFirst=True), padding=True),
    dict(name="two layers and a norm", options=dict(batchFirst=True, layerNormEps=1e-3), count=2),
]
NAMES = dict(normFirst="norm_first", batchFirst="batch_first", layerNormEps="layer_norm_eps")
for case in CASES:
    options = {NAMES.get(k, k): v for k, v in case.get("options", {}).items()}
    module = nn.TransformerEncoderLayer(E, H, dim_feedforward=12, dropout=0.0, **options)
    if "count" in case:
        module = nn.TransformerEncoder(module, case["count"], norm=nn.LayerNorm(E), enable_nested_tensor=False)
    causal = case.get("causal", False)
    mask = torch.ones(4, 4).triu(1).bool() if causal else None

    def run(x):
        padding = PAD if case.get("padding") else None
        name = "mask" if "count" in case else "src_mask"
        return [module(x, src_key_padding_mask=padding, is_causal=causal, **{name: mask})]

    layers.append(record(case, module, [values([2, 4, E], 1)], run))
print(json.dumps(dict(torch=torch.__version__, attention=attention, layers=layers)))
