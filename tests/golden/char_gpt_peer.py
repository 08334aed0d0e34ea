"""Prints the validation losses of PyTorch's twin of examples/char_gpt.ts, one a seed, for the bound in tests/examples/char_gpt_test.ts.

Run: python3 tests/golden/char_gpt_peer.py tinyshakespeare.txt [seed...]
"""
import math
import pathlib
import sys

import torch
import torch.nn.functional as F
from torch import nn

STEPS, BATCH, CONTEXT, LAYERS, WIDTH, HEADS, LR = 300, 8, 64, 2, 128, 4, 2e-3


class GPT(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        gelu = nn.GELU(approximate="tanh")
        options = dict(dim_feedforward=4 * WIDTH, dropout=0, activation=gelu, batch_first=True, norm_first=True)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(WIDTH, HEADS, **options) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        self.mask = nn.Transformer.generate_square_subsequent_mask(CONTEXT)

    def forward(self, index):
        x = self.tokens(index) + self.positions(torch.arange(index.shape[1]))
        for block in self.blocks:
            x = block(x, src_mask=self.mask, is_causal=True)
        return self.head(self.norm(x))


def windows(codes):
    count = (len(codes) - 1) // CONTEXT
    return codes[: count * CONTEXT].view(count, CONTEXT), codes[1 : count * CONTEXT + 1].view(count, CONTEXT)


def factor(step):
    warmup = math.ceil(STEPS / 20)
    if step < warmup:
        return step / warmup
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (STEPS - warmup)))


def loss_of(model, x, y):
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten())


def validation_loss(text, seed):
    torch.manual_seed(seed)
    characters = sorted(set(text))
    code_of = {character: code for code, character in enumerate(characters)}
    codes = torch.tensor([code_of[character] for character in text])
    split = len(codes) * 9 // 10
    (x, y), (valid_x, valid_y) = windows(codes[:split]), windows(codes[split:])
    model = GPT(len(characters))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.99), weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    # STEPS batches are less than one pass over the windows.
    for rows in torch.randperm(len(x))[: STEPS * BATCH].split(BATCH):
        optimizer.zero_grad()
        loss_of(model, x[rows], y[rows]).backward()
        optimizer.step()
        scheduler.step()
    model.eval()
    with torch.no_grad():
        parts = [loss_of(model, a, b).item() * len(a) for a, b in zip(valid_x.split(BATCH), valid_y.split(BATCH))]
    return sum(parts) / len(valid_x)


source = pathlib.Path(sys.argv[1]).read_text()
for each in [int(argument) for argument in sys.argv[2:]] or [1, 2, 3]:
    print(f"seed {each}: {validation_loss(source, each):.4f}", flush=True)
