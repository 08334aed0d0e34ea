"""Writes optimizers.json from PyTorch 2.13: losses of 50 steps on the MLP of training.json, and 20 steps of 16-bit parameters with
given gradients, without and with float32 masters. Run: python3 generate_optimizers.py"""
import json
import pathlib
import re

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
MLP = json.loads((HERE / "training.json").read_text())["mlp"]


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of arXiv:2302.06675, written from the paper; PyTorch has no Lion."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, maximize=False):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
            for p in group["params"]:
                g = -p.grad if group["maximize"] else p.grad
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                update = torch.sign(beta1 * m + (1 - beta1) * g)
                p.copy_(p - lr * (update + decay * p))
                m.copy_(beta2 * m + (1 - beta2) * g)


def construct(kind, params, options):
    snake = {re.sub("[A-Z]", lambda m: "_" + m[0].lower(), k): tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return (Lion if kind == "Lion" else getattr(torch.optim, kind))(params, **snake)


CASES = {
    "Adam": ("Adam", dict(lr=1e-2)),
    "Adam small beta1": ("Adam", dict(lr=1e-2, betas=[0.3, 0.9])),
    "Adam decay maximize": ("Adam", dict(lr=1e-3, weightDecay=0.1, maximize=True)),
    "AdamW": ("AdamW", dict(lr=1e-2)),
    "AdamW amsgrad": ("AdamW", dict(lr=1e-2, betas=[0.8, 0.99], eps=1e-6, weightDecay=0.1, amsgrad=True)),
    "SGD": ("SGD", dict(lr=5e-2)),
    "SGD momentum": ("SGD", dict(lr=2e-2, momentum=0.9, dampening=0.3, weightDecay=0.01)),
    "SGD nesterov": ("SGD", dict(lr=2e-2, momentum=0.9, nesterov=True, weightDecay=0.01)),
    "SGD maximize": ("SGD", dict(lr=1e-3, momentum=0.5, maximize=True)),
    "Lion": ("Lion", dict(lr=1e-3)),
    "Lion decay": ("Lion", dict(lr=2e-3, betas=[0.8, 0.95], weightDecay=0.5)),
    "Lion maximize": ("Lion", dict(lr=1e-4, maximize=True)),
    "RMSprop": ("RMSprop", {}),
    "RMSprop centered": ("RMSprop", dict(lr=5e-3, centered=True, alpha=0.9)),
    "RMSprop momentum": ("RMSprop", dict(lr=1e-3, momentum=0.9, eps=1e-6)),
    "RMSprop all": ("RMSprop", dict(lr=1e-3, momentum=0.8, centered=True, weightDecay=0.1)),
    "RMSprop maximize": ("RMSprop", dict(lr=1e-3, maximize=True)),
    "Adagrad": ("Adagrad", {}),
    "Adagrad all": ("Adagrad", dict(lr=5e-2, lrDecay=0.1, weightDecay=0.1, initialAccumulatorValue=0.2, eps=1e-6)),
    "Adagrad maximize": ("Adagrad", dict(lr=1e-3, maximize=True)),
    "NAdam": ("NAdam", {}),
    "NAdam decay": ("NAdam", dict(lr=1e-2, weightDecay=0.1, momentumDecay=1e-2, betas=[0.8, 0.99])),
    "NAdam decoupled": ("NAdam", dict(lr=1e-2, weightDecay=0.1, decoupledWeightDecay=True)),
    "NAdam maximize": ("NAdam", dict(lr=1e-3, maximize=True)),
    "Adafactor": ("Adafactor", {}),
    "Adafactor all": ("Adafactor", dict(lr=0.1, beta2Decay=-0.5, eps=[1e-4, 1e-2], d=1.5, weightDecay=0.1)),
    "Adafactor maximize": ("Adafactor", dict(lr=1e-3, maximize=True)),
    "Muon": ("Muon", dict(lr=2e-2)),
    "Muon all": ("Muon", dict(lr=1e-2, weightDecay=0.3, momentum=0.4, nesterov=False, nsSteps=3, adjustLrFn="match_rms_adamw")),
}


def losses_of(kind, options, dtype):
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1)).to(dtype)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.tensor(MLP["start"][name], dtype=dtype).view_as(p))
    matrices = [p for p in model.parameters() if p.ndim == 2]
    # Muon trains the matrices; the biases stay.
    optimizer = construct(kind, matrices if kind == "Muon" else model.parameters(), options)
    losses = []
    for step in range(50):
        x, y = (torch.tensor(v, dtype=dtype) for v in MLP["batches"][step % 5])
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x.view(8, 10)), y.view(8, 1))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


STEPS, SHAPES = 20, [(6, 5), (11,)]


def run_low(kind, options, dtype, start, gradients):
    shapes = SHAPES[:1] if kind == "Muon" else SHAPES
    params = [nn.Parameter(t.to(dtype).clone()) for t in start[: len(shapes)]]
    # The fused steps of PyTorch compute 16-bit parameters in float32 and round once.
    fused = dict(fused=True) if kind in ("Adam", "AdamW", "SGD", "Adagrad") and dtype != torch.float64 else {}
    optimizer = construct(kind, params, {**options, **fused})
    for step in gradients:
        for p, g in zip(params, step):
            p.grad = g.to(dtype)
        optimizer.step()
    return [p.double().flatten().tolist() for p in params]


def run_master(kind, options, dtype, start, gradients):
    """Steps of float32 parameters with gradients of 16 bits: the masters, and what they are rounded to."""
    params = [nn.Parameter(t.float()) for t in start]
    optimizer = construct(kind, params, options)
    for step in gradients:
        for p, g in zip(params, step):
            p.grad = g.float()
        optimizer.step()
    return dict(master=[p.flatten().tolist() for p in params], rounded=[p.to(dtype).double().flatten().tolist() for p in params])


def low(dtype):
    torch.manual_seed(1)
    start = [torch.randn(s).to(dtype).double() for s in SHAPES]
    gradients = [[(torch.randn(s) + 0.5).to(dtype).double() for s in SHAPES] for _ in range(STEPS)]
    cases = {}
    for name, (kind, options) in CASES.items():
        args = (kind, options)
        cases[name] = dict(torch=run_low(*args, dtype, start, gradients), exact=run_low(*args, torch.float64, start, gradients))
    for name, (kind, options) in CASES.items():
        if kind not in ("Adafactor", "Muon"):
            cases[name] |= run_master(kind, options, dtype, start, gradients)
    flat = lambda ts: [t.flatten().tolist() for t in ts]
    return dict(start=flat(start), gradients=[flat(step) for step in gradients], cases=cases)


def shaped(kind, shape, dtype=torch.float64):
    count = torch.Size(shape).numel()
    p = nn.Parameter(torch.arange(1.0, count + 1, dtype=dtype).sin().view(shape))
    optimizer = construct(kind, [p], {})
    for step in range(3):
        p.grad = (torch.arange(1.0, count + 1, dtype=dtype) * (step + 1)).cos().view(shape)
        optimizer.step()
    return dict(kind=kind, shape=shape, values=p.flatten().tolist())


MATRICES = [[1, 7], [7, 1], [70, 3], [3, 130]]
out = dict(
    torch=torch.__version__,
    cases={
        name: dict(kind=kind, options=options, float64=losses_of(kind, options, torch.float64), float32=losses_of(kind, options, torch.float32))
        for name, (kind, options) in CASES.items()
    },
    shapes=[shaped("Adafactor", shape) for shape in [*MATRICES, [2, 3, 4], [5], []]] + [shaped("Muon", shape) for shape in MATRICES],
    low=dict(bfloat16=low(torch.bfloat16), float16=low(torch.float16)),
)
(HERE / "optimizers.json").write_text(json.dumps(out))
