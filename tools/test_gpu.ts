/**
 * The whole suite on `cuda`: `deno run -A tools/test_gpu.ts` on a GPU, with `--emulated` on the emulated one that it builds first. On a GPU
 * also the checks of kernels/hw on the silicon, and the kernels under compute-sanitizer. Arguments after `--` go to `deno test`.
 *
 * @module
 */
import { ROOT } from "../kernels/toolchain/compile.ts";

/** What does not depend on a device: processes and their memory, files of the library, the sources of kernels. */
const WITHOUT_DEVICE = new Set(["_support", "ffi", "golden", "kernels", "launch", "memory", "remote", "op_table"]);

/** Kernels that a memory checker slows down a hundredfold, so only these. */
const CHECKED = ["tests/ops/matmul_test.ts", "tests/nn/attention_test.ts", "tests/ops/rows_test.ts"];

async function run(command: string, args: string[], env: Record<string, string> = {}): Promise<void> {
  console.log(`$ ${command} ${args.join(" ")}`);
  const { code } = await new Deno.Command(command, { args, env, cwd: ROOT, stdout: "inherit", stderr: "inherit" })
    .output();
  if (code !== 0) Deno.exit(code);
}

async function hasProgram(command: string): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args: ["--version"], stdout: "null", stderr: "null" }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

const emulated = Deno.args.includes("--emulated");
const extra = Deno.args.includes("--") ? Deno.args.slice(Deno.args.indexOf("--") + 1) : [];
const deno = Deno.execPath();
const env: Record<string, string> = { ACCELERATE_REQUIRE_GPU: "1", ACCELERATE_TEST_DEVICES: "cuda" };
if (emulated) {
  await run(deno, ["run", "-A", "kernels/build.ts", "emulated"]);
  env.ACCELERATE_CUDA_LIBRARY = `${ROOT}build/emulated/libaccelerate_cuda.so`;
}
const suite = [...Deno.readDirSync(`${ROOT}tests`)]
  .filter(({ name, isDirectory }) => isDirectory ? !WITHOUT_DEVICE.has(name) : name.endsWith("_test.ts"))
  .map(({ name }) => `tests/${name}`).sort();
const test = ["test", "-A", "--quiet", "--preload", "tests/_support/default_to_cuda.ts"];
await run(deno, [...test, ...(extra.length > 0 ? extra : suite)], env);
if (!emulated) {
  const conformance = `${ROOT}build/conformance/program`;
  await run(deno, ["run", "-A", "kernels/build.ts", "conformance"]);
  await run(conformance, []);
  if (await hasProgram("compute-sanitizer")) {
    for (const tool of ["memcheck", "racecheck"]) {
      const checker = ["--tool", tool, "--error-exitcode", "1", "--target-processes", "all"];
      await run("compute-sanitizer", [...checker, deno, ...test, ...CHECKED], env);
    }
  } else {
    console.log("compute-sanitizer is not installed: no memory check of the kernels (it comes with the CUDA toolkit)");
  }
}
