"""Writes schedulers.json from PyTorch 2.13: learning rates (and cycled momenta) of 60 steps. Run: python3 generate_schedulers.py"""
import json
import math
import pathlib
import re
import warnings

import torch
from torch.optim import lr_scheduler

warnings.filterwarnings("ignore")

LAMBDAS = {
    "LambdaLR": lambda step: 1 / (1 + 0.1 * step),
    "LambdaLR groups": [lambda step: 0.9**step, lambda step: 1 - step / 100],
    "MultiplicativeLR": lambda step: 0.99 if step % 2 else 1.005,
    "CyclicLR function": lambda x: 1 / (1 + x),
}
# A loss that falls, stays, falls again and rises.
METRICS = [1 / (1 + min(i, 12)) + (0.001 * (i - 40) if i > 40 else 0) - (0.05 if 25 < i <= 40 else 0) for i in range(60)]
SGD, ADAMW = "SGD", "AdamW"
CASES = {
    "LambdaLR": (SGD, {}),
    "LambdaLR groups": (SGD, {}),
    "MultiplicativeLR": (SGD, {}),
    "StepLR": (SGD, dict(stepSize=7)),
    "StepLR gamma": (SGD, dict(stepSize=10, gamma=0.5)),
    "MultiStepLR": (SGD, dict(milestones=[5, 20, 20, 41])),
    "MultiStepLR gamma": (SGD, dict(milestones=[30], gamma=0.3)),
    "ConstantLR": (SGD, {}),
    "ConstantLR factor": (SGD, dict(factor=0.25, totalIters=20)),
    "ExponentialLR": (SGD, dict(gamma=0.95)),
    "LinearLR": (SGD, {}),
    "LinearLR down": (SGD, dict(startFactor=1.0, endFactor=0.2, totalIters=40)),
    "PolynomialLR": (SGD, {}),
    "PolynomialLR power": (SGD, dict(totalIters=45, power=2.5)),
    "CosineAnnealingLR": (SGD, dict(tMax=60)),
    "CosineAnnealingLR waves": (SGD, dict(tMax=12, etaMin=0.01)),
    "CosineAnnealingWarmRestarts": (SGD, dict(t0=9)),
    "CosineAnnealingWarmRestarts longer": (SGD, dict(t0=5, tMult=2, etaMin=0.001)),
    "OneCycleLR": (SGD, dict(maxLr=0.2, totalSteps=61)),
    "OneCycleLR betas": (ADAMW, dict(maxLr=[0.2, 0.3], epochs=6, stepsPerEpoch=11, pctStart=0.4, annealStrategy="linear", baseMomentum=0.7)),
    "OneCycleLR three phases": (SGD, dict(maxLr=0.2, totalSteps=80, threePhase=True, cycleMomentum=False, divFactor=10.0, finalDivFactor=100.0)),
    "CyclicLR": (SGD, dict(baseLr=0.01, maxLr=[0.1, 0.2], stepSizeUp=8)),
    "CyclicLR halved": (ADAMW, dict(baseLr=0.01, maxLr=0.1, stepSizeUp=6, stepSizeDown=9, mode="triangular2", maxMomentum=0.95)),
    "CyclicLR exponential": (SGD, dict(baseLr=0.01, maxLr=0.1, stepSizeUp=8, mode="exp_range", gamma=0.97, cycleMomentum=False)),
    "CyclicLR function": (SGD, dict(baseLr=0.01, maxLr=0.1, stepSizeUp=8, scaleMode="cycle")),
    "ReduceLROnPlateau": (SGD, dict(patience=3)),
    "ReduceLROnPlateau all": (SGD, dict(mode="min", factor=0.5, patience=2, threshold=0.01, thresholdMode="abs", cooldown=4, minLr=[0.02, 0.0], eps=1e-3)),
    "ReduceLROnPlateau max": (SGD, dict(mode="max", factor=0.5, patience=4, threshold=0.1)),
    "SequentialLR": (SGD, {}),
    "SequentialLR three": (SGD, {}),
    "ChainedScheduler": (SGD, {}),
    "cosineWithWarmup": (SGD, dict(warmupSteps=10, totalSteps=55)),
    "cosineWithWarmup least": (SGD, dict(warmupSteps=0, totalSteps=40, minRatio=0.1)),
}
NAMES = {"tMax": "T_max", "t0": "T_0", "tMult": "T_mult"}


def snake(options):
    return {NAMES.get(k, re.sub("[A-Z]", lambda m: "_" + m[0].lower(), k)): v for k, v in options.items()}


def cosine_with_warmup(optimizer, warmup_steps, total_steps, min_ratio=0.0):
    """The formulas of transformers' get_cosine_schedule_with_warmup and get_cosine_with_min_lr_schedule_with_warmup."""

    def factor(step):
        if step < warmup_steps:
            return float(step) / float(max(1, warmup_steps))
        progress = float(step - warmup_steps) / float(max(1, total_steps - warmup_steps))
        wave = 0.5 * (1.0 + math.cos(math.pi * 0.5 * 2.0 * progress))
        return max(0.0, wave * (1 - min_ratio) + min_ratio)

    return lr_scheduler.LambdaLR(optimizer, factor)


def construct(name, optimizer, options, **more):
    kind = name.split()[0]
    if kind == "cosineWithWarmup":
        return cosine_with_warmup(optimizer, **snake(options))
    if name == "SequentialLR":
        parts = [lr_scheduler.LinearLR(optimizer, total_iters=10), lr_scheduler.CosineAnnealingLR(optimizer, 30)]
        return lr_scheduler.SequentialLR(optimizer, parts, [10])
    if name == "SequentialLR three":
        parts = [
            lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=100),
            lr_scheduler.StepLR(optimizer, 5, 0.5),
            lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 7),
        ]
        return lr_scheduler.SequentialLR(optimizer, parts, [8, 25])
    if name == "ChainedScheduler":
        return lr_scheduler.ChainedScheduler([lr_scheduler.ConstantLR(optimizer, 0.5, 20), lr_scheduler.ExponentialLR(optimizer, 0.97)])
    if kind in ("LambdaLR", "MultiplicativeLR"):
        return getattr(lr_scheduler, kind)(optimizer, LAMBDAS[name], **more)
    if name in LAMBDAS:
        options = {**options, "scaleFn": LAMBDAS[name]}
    return getattr(lr_scheduler, kind)(optimizer, **snake(options), **more)


def make_optimizer(kind):
    p = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    groups = [dict(params=[p[0]]), dict(params=[p[1]], lr=0.05)]
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9) if kind == SGD else torch.optim.AdamW(groups, lr=0.1)


def run(name):
    kind, options = CASES[name]
    optimizer = make_optimizer(kind)
    scheduler = construct(name, optimizer, options)
    lrs, momenta = [], []
    for step in range(61):
        # PyTorch's OneCycleLR and CyclicLR with lists set them for each group.
        assert scheduler.get_last_lr() == [g["lr"] for g in optimizer.param_groups]
        lrs.append(list(scheduler.get_last_lr()))
        momenta.append([g["momentum"] if kind == SGD else g["betas"][0] for g in optimizer.param_groups])
        if step == 60:
            break
        optimizer.step()
        if name.startswith("Reduce"):
            scheduler.step(METRICS[step])
        else:
            scheduler.step()
    return dict(optimizer=kind, options=options, lrs=lrs, momenta=momenta)


def go_on(name):
    """What a schedule does that begins at lastEpoch 6."""
    kind, options = CASES[name]
    optimizer = make_optimizer(kind)
    for group in optimizer.param_groups:
        group["initial_lr"] = 2 * group["lr"]
    scheduler = construct(name, optimizer, options, last_epoch=6)
    lrs = []
    for step in range(21):
        lrs.append(list(scheduler.get_last_lr()))
        scheduler.step()
    return lrs


GOING_ON = [
    n for n in CASES
    if n.split()[0] not in ("cosineWithWarmup", "SequentialLR", "ChainedScheduler", "ReduceLROnPlateau", "OneCycleLR", "CyclicLR")
]
out = dict(torch=torch.__version__, metrics=METRICS, cases={n: run(n) for n in CASES}, goingOn={n: go_on(n) for n in GOING_ON})
pathlib.Path(__file__).with_name("schedulers.json").write_text(json.dumps(out))
