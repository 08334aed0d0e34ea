/**
 * How nvcc is called, and the program that checks the primitives of kernels/hw on a real GPU.
 *
 * @module
 */
import { compileAll, type Job, ROOT, run } from "./compile.ts";
import { objectName } from "./sources.ts";

/** Machine code for the GPUs since 2020, and PTX of the oldest for those to come. */
export const ARCHITECTURES = ["80", "86", "89", "90a", "100", "120"];
/** What all CUDA sources are compiled with. */
export const NVCC_COMPILE = [
  ...[
    "-std=c++17",
    "-O3",
    "-I",
    "kernels",
    "-DAX_CUDA",
    "-DAX_ISA=cuda",
    "--compress-mode=size",
    "-diag-suppress",
    "186",
    "-Xptxas",
    "-v",
  ],
  ...["-Xcompiler", "-fPIC,-fvisibility=hidden,-ffunction-sections,-Os", "-gencode=arch=compute_80,code=compute_80"],
];

/** Where nvcc's static runtime lies. */
export async function cudaLinkFlags(): Promise<string[]> {
  const dryRun = await new Deno.Command("nvcc", { args: ["--dryrun", "-x", "cu", "/dev/null"], stderr: "piped" })
    .output();
  const path = /^#\$ TOP=(.*)$/m.exec(new TextDecoder().decode(dryRun.stderr))?.[1];
  if (path === undefined) throw new Error("nvcc does not say where its toolkit lies");
  return [`-L${path}/lib64`, "-lcudart_static", "-ldl", "-lrt", "-lpthread"];
}

/** Builds build/conformance/program, which runs on any GPU; those older than sm_90a skip what they lack. */
export async function buildConformance(): Promise<void> {
  const directory = "build/conformance";
  await Deno.mkdir(`${ROOT}${directory}`, { recursive: true });
  const job = (source: string, targets: string[]): Job => ({
    compiler: "nvcc",
    args: [...NVCC_COMPILE, ...targets.map((arch) => `-gencode=arch=compute_${arch},code=sm_${arch}`), "-x", "cu"],
    source,
    object: `${directory}/${objectName(source)}.o`,
  });
  const objects = await compileAll([
    job("kernels/hw/conformance.cu", ARCHITECTURES),
    job("kernels/hw/conformance_hopper.cu", ["90a"]),
    job("tests/kernels/hw_main.cc", ["80"]),
  ]);
  await run("g++", [...objects, ...await cudaLinkFlags(), "-o", `${directory}/program`]);
  console.log(`${directory}/program: checks of kernels/hw for a GPU`);
}
