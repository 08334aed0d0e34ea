/**
 * All-reduce between launched processes: prints JSON, microseconds by bytes. It times the group itself, as the peer does.
 *
 * @module
 */
import { randn } from "../mod.ts";
import { cpuDevice } from "../src/core/device.ts";
import { readDistributedEnvironment } from "../src/distributed/environment.ts";
import { ShmProcessGroup } from "../src/distributed/shm_group.ts";

const environment = readDistributedEnvironment();
const group = await ShmProcessGroup.join(environment, cpuDevice(), 60_000);
const out: Record<number, number> = {};
for (const count of [256, 1 << 24]) {
  const values = randn([count]);
  const repeats = Math.max(5, Math.min(20_000, Math.floor(2e7 / count)));
  const rounds: number[] = [];
  for (let round = 0; round < 5; round++) {
    await group.barrier();
    const start = performance.now();
    for (let i = 0; i < repeats; i++) group.allReduce(values, "sum", 1 / group.worldSize);
    rounds.push((performance.now() - start) * 1000 / repeats);
  }
  out[count * 4] = rounds.sort((a, b) => a - b)[2];
  if (!Number.isFinite(values.select(0, 0).item())) throw new Error("the reduction is not finite");
}
if (group.rank === 0) console.log(JSON.stringify(out));
await group.barrier();
await group.close();
