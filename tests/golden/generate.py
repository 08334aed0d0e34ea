"""Writes mlp_adamw.json: 50 steps of AdamW on an MLP and an embedding model, from PyTorch 2.13. Run: python3 generate.py"""
import json, pathlib, torch
from torch import nn

torch.manual_seed(0)
def case(model, batches, loss_fn, **options):
    start = {k: v.double().flatten().tolist() for k, v in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), **options)
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return dict(start=start, batches=[[x.flatten().tolist(), y.flatten().tolist()] for x, y in batches], losses=losses)

mlp = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1))
mlp_batches = [(torch.randn(8, 10), torch.randn(8, 1)) for _ in range(5)] * 10
words = nn.Sequential(nn.Embedding(11, 6), nn.GELU(), nn.Linear(6, 4))
word_batches = [(torch.randint(0, 11, (8,)), torch.randint(0, 4, (8,))) for _ in range(5)] * 10
out = dict(torch=torch.__version__, mlp=case(mlp, mlp_batches, nn.functional.mse_loss, lr=1e-2),
           words=case(words, word_batches, nn.functional.cross_entropy, lr=1e-2))
for name in ("mlp", "words"):
    out[name]["batches"] = out[name]["batches"][:5]
pathlib.Path(__file__).with_name("mlp_adamw.json").write_text(json.dumps(out))
