/**
 * Collectives of three ranks of one process, several in flight at a time; ends with status 0 when all results are right.
 *
 * @module
 */
import { AX } from "../../ffi/constants.ts";
import { tensor, tidy, zeros } from "../../mod.ts";
import { LocalRanks } from "../_support/local_ranks.ts";

const RANKS = [0, 1, 2];
/** One shot and one chunk, several chunks for each block, and two shots. */
const SIZES = [5, 50_000, 150_000];

const valueAt = (rank: number, i: number): number => (i * 7 + rank * 13) % 23;
// A mistake may leave a rank alone: it gives up soon.
const ranks = await LocalRanks.join(RANKS.length, 3000);

function compare(actual: ArrayLike<number | bigint>, expected: (i: number) => number): void {
  for (let i = 0; i < actual.length; i++) {
    if (Number(actual[i]) !== expected(i)) throw new Error(`element ${i} is ${actual[i]}, want ${expected(i)}`);
  }
}

for (let round = 0; round < 6; round++) {
  tidy(() => {
    const checks = SIZES.map((size) => {
      const make = () =>
        RANKS.map((rank) =>
          tensor(Float32Array.from({ length: size }, (_, i) => valueAt(rank, i)), { device: "cuda" })
        );
      const [reduced, sent, own] = [make(), make(), make()];
      const gathered = RANKS.map(() => zeros([3 * size], { device: "cuda" }));
      ranks.allReduce(reduced, AX.COMM_SUM, 1);
      ranks.broadcast(sent, round % 3);
      ranks.allGather(gathered, own);
      return () => {
        for (const rank of RANKS) {
          compare(reduced[rank].data(), (i) => valueAt(0, i) + valueAt(1, i) + valueAt(2, i));
          compare(sent[rank].data(), (i) => valueAt(round % 3, i));
          compare(gathered[rank].data(), (i) => valueAt(Math.floor(i / size), i % size));
        }
      };
    });
    ranks.finish();
    for (const check of checks) check();
  });
}
// Without leaving: a mistake may have left work that never ends.
Deno.exit(0);
