// The primitives of kernels/hw on the emulated GPU, against plain loops, and what the emulated GPU must refuse.
import { assert, assertEquals } from "@std/assert";
import { buildEmulatedProgram, hasCompiler } from "../../kernels/toolchain/emulated.ts";
import { countByOperation, dropEachSynchronisation } from "./mutation.ts";

const ignore = !await hasCompiler();
const note = ignore ? " (skipped: no g++)" : "";

const SOURCES = ["kernels/hw/conformance.cu", "kernels/hw/conformance_hopper.cu", "tests/kernels/hw_main.cc"];

/** [check, number of wrong results] for each line that the program printed. */
function parse(stdout: Uint8Array): string[][] {
  return new TextDecoder().decode(stdout).trim().split("\n").map((line) => line.split("\t"));
}

Deno.test(`emulated primitives do what the PTX ISA says, and refuse what it forbids${note}`, { ignore }, async () => {
  const program = await buildEmulatedProgram("hw_test", SOURCES);
  for (const seed of ["1", "2", "3"]) {
    const { success, stdout, stderr } = await new Deno.Command(program, { env: { ACCELERATE_EMULATOR_SEED: seed } })
      .output();
    assert(success, new TextDecoder().decode(stderr));
    const lines = parse(stdout);
    assertEquals(lines.filter(([, failures]) => failures !== "0"), [], `seed ${seed}`);
    assert(lines.length >= 25, `only ${lines.length} checks ran`);
  }
});

Deno.test(`every synchronisation of the checks is missed when it is left out${note}`, { ignore }, async () => {
  const path = await buildEmulatedProgram("hw_test", SOURCES);
  const { sites, unnoticed } = await dropEachSynchronisation(async (env) => {
    const { success, stdout } = await new Deno.Command(path, { env, stderr: "null" }).output();
    return success && parse(stdout).every(([, failures]) => failures === "0");
  }, ["1", "2", "3", "4", "5", "6"]);
  assert(sites.length >= 50, `only ${sites.length} sites`);
  assertEquals(countByOperation(unnoticed), {
    __syncwarp: 6, // before ldmatrix, which is a meeting of the warp itself: what it adds is the order of memory
    waitForCopies: 1, // of the check that reads too early
  });
});
