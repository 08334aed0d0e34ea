import { assert } from "@std/assert";
import { memoryStats, tensor } from "../../mod.ts";
import { checkProgram } from "../_support/fuzz/check.ts";
import { Unfit } from "../_support/fuzz/model.ts";
import { type Layout, makeProgram, OPERATIONS, type Program, show, shrink } from "../_support/fuzz/program.ts";
import { collectGarbage } from "../_support/garbage.ts";
import { Random, seedFrom } from "../_support/random.ts";
import { testDevices } from "../_support/devices.ts";

const VARIABLE = "ACCELERATE_FUZZ_SEED";
const PROGRAMS = 2000;
const LAYOUTS: readonly Layout[] = ["contiguous", "strided"];

function messageOf(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof Unfit) return undefined;
    return error instanceof Error ? error.message : String(error);
  }
}

for (const device of testDevices(import.meta.url)) {
  Deno.test(`${PROGRAMS} random graphs give the model's values, gradients and views, and leave nothing (${device})`, async () => {
    const first = seedFrom(VARIABLE);
    console.log(`seed ${first}: repeat with ${VARIABLE}=${first}`);
    tensor(0, { device });
    const before = memoryStats(device).liveStorages;
    const used = new Set<string>();
    const totals = { programs: 0, strided: 0, tracked: 0, gradients: 0, changes: 0, refused: 0 };
    for (let i = 0; i < PROGRAMS; i++) {
      // Before scalars need a second slab, which would look like a leak.
      if (i % 700 === 0) await collectGarbage();
      const program = makeProgram(new Random(first + i));
      program.steps.forEach(({ name }) => used.add(name));
      for (const layout of LAYOUTS) {
        const check = (each: Program) => checkProgram(each, layout, device);
        try {
          const outcome = check(program);
          totals.programs++;
          totals.strided += Number(layout === "strided");
          totals.tracked += Number(outcome.tracked);
          if (outcome.gradients === "refused") totals.refused++;
          else totals.gradients += outcome.gradients;
          totals.changes += outcome.changes;
        } catch (error) {
          if (error instanceof Unfit) continue;
          const smallest = shrink(program, (each) => messageOf(() => check(each)) !== undefined);
          throw new Error(
            `seed ${first + i}, leaves ${layout}: ${messageOf(() => check(smallest))}\n${show(smallest)}`,
            { cause: error },
          );
        }
      }
    }
    // The test tests: all operations occur, and most programs are compared in all respects.
    const unused = Object.keys(OPERATIONS).filter((name) => !used.has(name));
    assert(unused.length === 0, `no program used ${unused}`);
    assert(totals.strided > 0.8 * PROGRAMS, JSON.stringify(totals));
    assert(totals.tracked > 0.6 * PROGRAMS && totals.gradients > 4 * PROGRAMS, JSON.stringify(totals));
    assert(totals.changes > 0.3 * PROGRAMS, JSON.stringify(totals));
    assert(totals.refused > 0.005 * PROGRAMS, JSON.stringify(totals));
    await collectGarbage();
    const left = memoryStats(device).liveStorages - before;
    assert(left <= 0, `${left} storages are still alive after garbage collection`);
  });
}
