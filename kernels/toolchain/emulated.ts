/**
 * Compilation for an emulated GPU: g++ reads CUDA sources as C++ over kernels/hw/emulator.
 *
 * @module
 */
import { compileAll, type Job, ROOT, run } from "./compile.ts";
import { abiDefine, abiHash, cudaSources, objectName, sourcesIn, WARNINGS } from "./sources.ts";

const EMULATED_COMPILE = [
  ...[
    "-std=c++17",
    "-O2",
    "-fPIC",
    "-fvisibility=hidden",
    "-I",
    "kernels",
    "-DAX_CUDA",
    "-DAX_EMULATED",
    "-DAX_ISA=emulated",
  ],
  ...[...WARNINGS, "-Wno-unused-function", "-Wno-unknown-pragmas", "-x", "c++"],
];

/** Where objects for the emulated GPU lie, those of tests too. */
export const EMULATED = "build/emulated";

/** Compilation of sources, relative to the project, and of the emulated GPU itself. */
export function emulatedJobs(sources: string[], flags: string[]): Job[] {
  return [...sources, ...sourcesIn("hw/emulator", ".cc")].map((source): Job => ({
    compiler: "g++",
    args: [...EMULATED_COMPILE, ...flags],
    source,
    object: `${EMULATED}/${objectName(source)}.o`,
  }));
}

/** What the CUDA library is made of. */
export function librarySources(): string[] {
  return [...cudaSources(), ...sourcesIn("common", ".cc")];
}

/** Builds what emulated GPUs have instead of NCCL, for tests: libnccl.so.2 in a folder. */
export async function buildFakeNccl(): Promise<void> {
  const args = EMULATED_COMPILE.filter((flag) => flag !== "-Wmissing-declarations");
  const source = "tests/kernels/fake_nccl.cc", object = `${EMULATED}/fake_nccl.o`;
  const objects = await compileAll([{ compiler: "g++", args, source, object }]);
  await run("g++", ["-shared", ...objects, "-o", `${EMULATED}/libnccl.so.2`]);
}

/** Builds a program from sources of the project, for the emulated GPU, and returns its path. */
export async function buildEmulatedProgram(name: string, sources: string[]): Promise<string> {
  await Deno.mkdir(`${ROOT}${EMULATED}`, { recursive: true });
  const objects = await compileAll(emulatedJobs(sources, [abiDefine(await abiHash())]));
  await run("g++", [...objects, "-lpthread", "-o", `${EMULATED}/${name}`]);
  return `${ROOT}${EMULATED}/${name}`;
}

/** Whether g++ is there; without it tests of kernels are left out. */
export async function hasCompiler(): Promise<boolean> {
  return await new Deno.Command("g++", { args: ["--version"], stdout: "null" }).output().then(
    ({ success }) => success,
    () => false,
  );
}
