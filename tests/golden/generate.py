"""Writes training.json from PyTorch 2.13: start weights, batches, and losses of 50 steps. Run: python3 generate.py"""
import json
import pathlib

import torch
from torch import nn

torch.manual_seed(0)


def losses_of(model, start, batches, loss_fn, make_optimizer):
    model.load_state_dict(start)
    optimizer = make_optimizer(model)
    losses = []
    for step in range(50):
        x, y = batches[step % len(batches)]
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def case(model, batches, loss_fn, optimizers):
    start = {k: v.clone() for k, v in model.state_dict().items()}
    return dict(
        start={k: v.double().flatten().tolist() for k, v in start.items()},
        batches=[[x.flatten().tolist(), y.flatten().tolist()] for x, y in batches],
        losses={name: losses_of(model, start, batches, loss_fn, make) for name, make in optimizers.items()},
    )


def groups(model):
    return [dict(params=[model[0].weight, model[0].bias], lr=2e-2), dict(params=[model[2].weight, model[2].bias])]


optim = torch.optim
mlp = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1))
mlp_batches = [(torch.randn(8, 10), torch.randn(8, 1)) for _ in range(5)]
words = nn.Sequential(nn.Embedding(11, 6), nn.GELU(), nn.Linear(6, 4))
word_batches = [(torch.randint(0, 11, (8,)), torch.randint(0, 4, (8,))) for _ in range(5)]
out = dict(
    torch=torch.__version__,
    mlp=case(mlp, mlp_batches, nn.functional.mse_loss, {
        "AdamW": lambda m: optim.AdamW(m.parameters(), lr=1e-2),
        "AdamW groups": lambda m: optim.AdamW(groups(m), lr=5e-3, weight_decay=0.1),
        "Adam amsgrad decay": lambda m: optim.Adam(m.parameters(), lr=1e-2, amsgrad=True, weight_decay=0.05),
        "SGD": lambda m: optim.SGD(m.parameters(), lr=5e-2),
        "SGD momentum dampening": lambda m: optim.SGD(m.parameters(), lr=2e-2, momentum=0.9, dampening=0.1, weight_decay=0.01),
        "SGD nesterov": lambda m: optim.SGD(m.parameters(), lr=2e-2, momentum=0.9, nesterov=True),
        "SGD maximize": lambda m: optim.SGD(m.parameters(), lr=1e-3, maximize=True),
    }),
    words=case(words, word_batches, nn.functional.cross_entropy, {"AdamW": lambda m: optim.AdamW(m.parameters(), lr=1e-2)}),
)
pathlib.Path(__file__).with_name("training.json").write_text(json.dumps(out))
