/**
 * Builds a native library: `deno run -A kernels/build.ts cpu|cuda|emulated`, the last of which is the CUDA library for an emulated GPU,
 * build/emulated/libaccelerate_cuda.so (ACCELERATE_CUDA_LIBRARY names it to the tests), and `conformance`, the
 * program that checks kernels/hw on a GPU. With `--check` it only compares checksums.json with the tree.
 *
 * While developing: `--levels=avx512` compiles the CPU library for some instruction-set levels only, `--archs=90a` the CUDA library
 * for some GPUs only. Such a library is for this machine; checksums.json keeps what it says, so the gate refuses to commit it.
 *
 * @module
 */
import { type HeaderFunction, parseHeader } from "../tools/header.ts";
import { type Backend, checkPrebuilt, libraryName, PREBUILT, recordChecksums } from "./toolchain/checksums.ts";
import { compileAll, type Job, ROOT, run } from "./toolchain/compile.ts";
import { buildFakeNccl, EMULATED, emulatedJobs, librarySources } from "./toolchain/emulated.ts";
import { dispatchSource, type Level, LEVELS } from "./toolchain/levels.ts";
import { formatResources, listSpills, readResources, REGISTER_TABLE } from "./toolchain/ptxas.ts";
import { ARCHITECTURES, buildConformance, cudaLinkFlags, NVCC_COMPILE } from "./toolchain/nvcc.ts";
import { abiDefine, abiHash, cudaSources, objectName, sourcesIn, WARNINGS } from "./toolchain/sources.ts";
import { checkExports, checkLinks } from "./toolchain/verify.ts";

const COMPILE = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-I", "kernels"];
const CPU_COMPILE = [...COMPILE, ...WARNINGS, "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"];
const LINK = ["-shared", "-s", "-Wl,-z,nodelete", "-Wl,--gc-sections", "-static-libstdc++", "-static-libgcc"];

/** Sources of kernels/cpu that hold no code for an instruction-set level; all others there are compiled once for each. */
const CPU_ONCE = new Set(["comm.cc", "host_allocator.cc", "memory.cc", "thread_pool.cc", "library.cc", "sort.cc"]);

/** What can be built: the committed libraries, and the CUDA library for an emulated GPU. */
type Target = Backend | "emulated";

/** What `--levels` and `--archs` leave of all that a library is compiled for. */
interface Targets {
  levels: Record<string, Level>;
  architectures: string[];
  isComplete: boolean;
}

function chooseTargets(args: string[]): Targets {
  const pick = (flag: string, all: string[]): string[] => {
    const names = args.find((arg) => arg.startsWith(`--${flag}=`))?.split("=")[1].split(",") ?? all;
    const wrong = names.filter((name) => !all.includes(name));
    if (wrong.length === 0) return all.filter((name) => names.includes(name));
    console.error(`--${flag} takes ${all.join(", ")}, got ${wrong.join(", ")}`);
    Deno.exit(2);
  };
  const levels = pick("levels", Object.keys(LEVELS));
  const architectures = pick("archs", ARCHITECTURES);
  return {
    levels: Object.fromEntries(levels.map((level) => [level, LEVELS[level]])),
    architectures,
    isComplete: levels.length === Object.keys(LEVELS).length && architectures.length === ARCHITECTURES.length,
  };
}

/** What the CPU library is compiled from: shared sources once, operations once for each instruction-set level. */
async function cpuJobs(
  directory: string,
  functions: HeaderFunction[],
  define: string,
  levels: Record<string, Level>,
): Promise<Job[]> {
  const jobs: Job[] = [];
  const add = (source: string, object: string, flags: string[]): void => {
    jobs.push({
      compiler: "g++",
      args: [...CPU_COMPILE, define, ...flags, "-x", "c++"],
      source,
      object: `${directory}/${object}.o`,
    });
  };
  await Deno.writeTextFile(`${ROOT}${directory}/dispatch.cc`, dispatchSource(functions, levels));
  add(`${directory}/dispatch.cc`, "dispatch", []);
  const cpu = sourcesIn("cpu", ".cc");
  const isOnce = (source: string): boolean => CPU_ONCE.has(source.split("/").at(-1)!);
  for (const source of [...sourcesIn("common", ".cc"), ...cpu.filter(isOnce)]) add(source, objectName(source), []);
  for (const [level, { flags }] of Object.entries(levels)) {
    const renames = functions.filter(({ tag }) => tag === "op").map(({ name }) =>
      `#define ${name} ${name}__${level}\n`
    );
    await Deno.writeTextFile(`${ROOT}${directory}/${level}.h`, `#define AX_OP extern "C"\n${renames.join("")}`);
    for (const source of [...sourcesIn("ops", ".cu"), ...cpu.filter((source) => !isOnce(source))]) {
      const object = `${objectName(source)}.${level}`;
      add(source, object, [...flags, `-DAX_ISA=${level}`, "-include", `${directory}/${level}.h`]);
    }
  }
  return jobs;
}

function cudaJobs(directory: string, define: string, architectures: string[]): Job[] {
  const object = (source: string): string => `${directory}/${objectName(source)}.o`;
  return [
    ...cudaSources().map((source): Job => ({
      compiler: "nvcc",
      args: [...NVCC_COMPILE, ...architectures.map((arch) => `-gencode=arch=compute_${arch},code=sm_${arch}`), define],
      source,
      object: object(source),
    })),
    ...sourcesIn("common", ".cc").map((source): Job => ({
      compiler: "g++",
      args: [...COMPILE, ...WARNINGS, define],
      source,
      object: object(source),
    })),
  ];
}

/** Links and verifies a library at a path. */
async function link(path: string, objects: string[], libraries: string[], functions: HeaderFunction[]): Promise<void> {
  const temporary = `${path}.tmp`;
  // The static C++ runtime must not be exported: a host program may have another one.
  const versions = `${objects[0].slice(0, objects[0].lastIndexOf("/"))}/exports.map`;
  await Deno.writeTextFile(`${ROOT}${versions}`, "{ global: ax_*; local: *; };\n");
  await run("g++", [...LINK, `-Wl,--version-script=${versions}`, ...objects, ...libraries, "-o", temporary]);
  await checkExports(temporary, functions);
  await checkLinks(temporary);
  await Deno.rename(temporary, path);
  const name = path.slice(path.lastIndexOf("/") + 1);
  console.log(`${name}: ${functions.length} functions, ${(await Deno.stat(path)).size} bytes`);
}

async function build(target: Target, { levels, architectures, isComplete }: Targets): Promise<void> {
  const directory = target === "emulated" ? EMULATED : `build/${target}`;
  await Deno.mkdir(`${ROOT}${directory}`, { recursive: true });
  await Deno.mkdir(PREBUILT, { recursive: true });
  const header = await Deno.readFile(`${ROOT}kernels/include/accelerate.h`);
  const functions = parseHeader(new TextDecoder().decode(header));
  const abi = await abiHash();
  const define = abiDefine(abi);
  if (target === "emulated") {
    const objects = await compileAll(emulatedJobs(librarySources(), [define]));
    await buildFakeNccl();
    return await link(`${ROOT}${directory}/${libraryName("cuda")}`, objects, ["-lpthread"], functions);
  }
  const jobs = target === "cpu"
    ? await cpuJobs(directory, functions, define, levels)
    : cudaJobs(directory, define, architectures);
  const objects = await compileAll(jobs);
  if (target === "cuda") {
    const resources = await readResources(objects);
    const spills = listSpills(resources);
    if (spills !== undefined) {
      console.error(spills);
      if (isComplete) Deno.exit(1);
    }
    if (isComplete) await Deno.writeTextFile(`${ROOT}${REGISTER_TABLE}`, formatResources(resources));
  }
  await link(`${PREBUILT}/${libraryName(target)}`, objects, target === "cuda" ? await cudaLinkFlags() : [], functions);
  if (isComplete) await recordChecksums(target, abi);
}

if (import.meta.main) {
  const target = Deno.args[0];
  if (target === "conformance") {
    await buildConformance();
  } else if (target !== "cpu" && target !== "cuda" && target !== "emulated") {
    console.error(
      "usage: deno run -A kernels/build.ts cpu|cuda|emulated|conformance [--check] [--levels=A,B] [--archs=A,B]",
    );
    Deno.exit(2);
  } else if (Deno.args.includes("--check") && target !== "emulated") {
    await checkPrebuilt(target);
  } else {
    await build(target, chooseTargets(Deno.args));
  }
}
