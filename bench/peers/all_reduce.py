"""gloo all-reduce between the processes of torchrun. Prints JSON: microseconds by bytes."""
import json
import time

import torch
import torch.distributed as dist

torch.set_num_threads(1)
dist.init_process_group("gloo")
out = {}
for count in (256, 1 << 24):
    x = torch.randn(count)
    repeats = max(5, min(300, int(2e7 / count)))
    rounds = []
    for _ in range(5):
        dist.barrier()
        start = time.perf_counter()
        for _ in range(repeats):
            dist.all_reduce(x)
        rounds.append((time.perf_counter() - start) / repeats * 1e6)
        x.fill_(1.0 / 3)
    out[count * 4] = sorted(rounds)[2]
if dist.get_rank() == 0:
    print(json.dumps(out))
dist.destroy_process_group()
