"""Training steps of a small GPT in PyTorch + Accelerate: the same sizes as gpt_step.ts. Prints JSON with the median of milliseconds a step."""
import json
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn

BATCH, CONTEXT, VOCABULARY, LAYERS, WIDTH, HEADS = 8, 128, 256, 4, 256, 4
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20
if len(sys.argv) > 2:
    torch.set_num_threads(int(sys.argv[2]))
torch.manual_seed(0)
accelerator = Accelerator(cpu=True)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = [part.view(b, t, HEADS, WIDTH // HEADS).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(WIDTH, 2)]
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, WIDTH))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, index):
        x = self.tokens(index) + self.positions(torch.arange(index.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


model = GPT()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
model, optimizer = accelerator.prepare(model, optimizer)
x = torch.randint(0, VOCABULARY, (BATCH, CONTEXT))
y = torch.randint(0, VOCABULARY, (BATCH, CONTEXT))


def step():
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x).view(-1, VOCABULARY), y.view(-1))
    accelerator.backward(loss)
    optimizer.step()
    return loss.item()


for _ in range(3):
    step()
times = []
for _ in range(steps):
    start = time.perf_counter()
    step()
    times.append((time.perf_counter() - start) * 1000)
print(json.dumps(dict(
    steps=steps, median=statistics.median(times), fastest=min(times),
    tokensPerSecond=BATCH * CONTEXT / statistics.median(times) * 1000,
    residentBytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
)))
