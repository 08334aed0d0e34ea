// The primitives of kernels/hw on the emulated GPU, against plain loops, and what the emulated GPU must refuse.
import { assert, assertEquals } from "@std/assert";
import { buildEmulatedProgram, hasCompiler } from "../../kernels/toolchain/emulated.ts";

const ignore = !await hasCompiler();

Deno.test("emulated primitives do what the PTX ISA says, and refuse what it forbids", { ignore }, async () => {
  const program = await buildEmulatedProgram("hw_test", ["kernels/hw/conformance.cu", "tests/kernels/hw_main.cc"]);
  for (const seed of ["1", "2", "3"]) {
    const { success, stdout, stderr } = await new Deno.Command(program, { env: { ACCELERATE_EMULATOR_SEED: seed } })
      .output();
    assert(success, new TextDecoder().decode(stderr));
    const lines = new TextDecoder().decode(stdout).trim().split("\n").map((line) => line.split("\t"));
    assertEquals(lines.filter(([, failures]) => failures !== "0"), [], `seed ${seed}`);
    assert(lines.length >= 20, `only ${lines.length} checks ran`);
  }
});
