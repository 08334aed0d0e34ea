// Every kernel of the matrix product on the emulated GPU, and how products are planned.
import { assert, assertMatch } from "@std/assert";
import { buildEmulatedProgram, hasCompiler, librarySources } from "../../kernels/toolchain/emulated.ts";

const ignore = !await hasCompiler();

Deno.test("every matrix product kernel has the rounded sums of double precision", { ignore }, async () => {
  const program = await buildEmulatedProgram("matmul_test", [...librarySources(), "tests/kernels/matmul_main.cc"]);
  const { success, stdout } = await new Deno.Command(program).output();
  const text = new TextDecoder().decode(stdout);
  assert(success, text);
  assertMatch(text, /^2\d{3} cases, 0 failures$/m);
});
