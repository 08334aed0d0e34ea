/**
 * Compilation for an emulated GPU: g++ reads CUDA sources as C++ over kernels/hw/emulator.
 *
 * @module
 */
import { compileAll, type Job, ROOT, run } from "./compile.ts";
import { objectName, sourcesIn, WARNINGS } from "./sources.ts";

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

/** Compilation of sources, relative to the project, and of the emulated GPU itself. */
export function emulatedJobs(directory: string, sources: string[], flags: string[]): Job[] {
  return [...sources, ...sourcesIn("hw/emulator", ".cc")].map((source): Job => ({
    compiler: "g++",
    args: [...EMULATED_COMPILE, ...flags],
    source,
    object: `${directory}/${objectName(source)}.o`,
  }));
}

/** Builds a program in build/<name> from sources of the project and returns its path. */
export async function buildEmulatedProgram(name: string, sources: string[]): Promise<string> {
  const directory = `build/${name}`;
  await Deno.mkdir(`${ROOT}${directory}`, { recursive: true });
  const objects = await compileAll(emulatedJobs(directory, sources, []));
  await run("g++", [...objects, "-lpthread", "-o", `${directory}/program`]);
  return `${ROOT}${directory}/program`;
}

/** Whether g++ is there; without it tests of kernels are left out. */
export async function hasCompiler(): Promise<boolean> {
  return await new Deno.Command("g++", { args: ["--version"], stdout: "null" }).output().then(
    ({ success }) => success,
    () => false,
  );
}
