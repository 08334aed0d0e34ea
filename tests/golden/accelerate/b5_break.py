"""B5: an evaluation loop that is left with break, as Accelerate 1.15 takes it: when gradients are complete.

python tests/golden/accelerate/b5_break.py
"""
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

accelerator = Accelerator(cpu=True, gradient_accumulation_steps=4)
model = torch.nn.Linear(1, 1, bias=False)
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
data = TensorDataset(torch.ones(6, 1))
model, optimizer, train, evaluation = accelerator.prepare(model, optimizer, DataLoader(data), DataLoader(data))
for epoch in range(2):
    flags = []
    for step, (x,) in enumerate(train):
        with accelerator.accumulate(model):
            accelerator.backward(model(x).sum())
            optimizer.step()
            optimizer.zero_grad()
        flags.append(accelerator.sync_gradients)
        if step == 2:
            for _ in evaluation:
                break
    print(flags, "gradient left:", model.weight.grad is not None)
