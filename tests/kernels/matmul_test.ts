// Every kernel of the matrix product on the emulated GPU, and how products are planned.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { buildEmulatedProgram, hasCompiler, librarySources } from "../../kernels/toolchain/emulated.ts";

const ignore = !await hasCompiler();
const note = ignore ? " (skipped: no g++)" : "";

/** The test program, which is built once. */
function build(): Promise<string> {
  return buildEmulatedProgram("matmul_test", [...librarySources(), "tests/kernels/matmul_main.cc"]);
}

Deno.test(`ACCELERATE_MATMUL chooses whose kernels multiply, and says what it cannot${note}`, { ignore }, async () => {
  const program = await build();
  const answerTo = async (value: string): Promise<string> => {
    const env = { ACCELERATE_MATMUL: value };
    const { stdout } = await new Deno.Command(program, { args: ["one product"], env }).output();
    return new TextDecoder().decode(stdout).trim();
  };
  assertEquals(await answerTo("own"), "0:");
  assertEquals(await answerTo("cublaslt"), "5: cuBLASLt cannot be used on an emulated GPU");
  assertEquals(await answerTo("mkl"), "1: ACCELERATE_MATMUL must be own or cublaslt, got mkl");
});

Deno.test(`every matrix product kernel has the rounded sums of double precision${note}`, { ignore }, async () => {
  const program = await build();
  const { success, stdout } = await new Deno.Command(program).output();
  const text = new TextDecoder().decode(stdout);
  assert(success, text);
  assertMatch(text, /^2\d{3} cases, 0 failures$/m);
});
