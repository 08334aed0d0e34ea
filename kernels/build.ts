/**
 * Builds a native library: `deno run -A kernels/build.ts cpu|cuda`. With `--check` it only compares checksums.json with the tree.
 *
 * While developing: `--levels=avx512` compiles the CPU library for some instruction-set levels only, `--archs=90a` the CUDA library
 * for some GPUs only. Such a library is for this machine; checksums.json keeps what it says, so the gate refuses to commit it.
 *
 * @module
 */
import { type HeaderFunction, parseHeader } from "../tools/header.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const PREBUILT = `${ROOT}ffi/prebuilt/linux-x86_64`;

type Backend = "cpu" | "cuda";

const WARNINGS = ["-Wall", "-Wextra", "-Wmissing-declarations", "-Werror", "-Wno-maybe-uninitialized"];
const COMPILE = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-I", "kernels"];
const CPU_COMPILE = [...COMPILE, ...WARNINGS, "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"];
const LINK = ["-shared", "-s", "-Wl,-z,nodelete", "-Wl,--gc-sections", "-static-libstdc++", "-static-libgcc"];

/** Machine code for the GPUs since 2020, and PTX of the oldest for those to come. */
const ARCHITECTURES = ["80", "86", "89", "90a", "100", "120"];
const NVCC_COMPILE = [
  ...["-std=c++17", "-O3", "-I", "kernels", "-DAX_ISA=cuda", "--compress-mode=size", "-diag-suppress", "186"],
  ...["-Xcompiler", "-fPIC,-fvisibility=hidden", "-gencode=arch=compute_80,code=compute_80"],
];

/** Instruction-set levels of the CPU library, lowest first, with the test that dispatch uses. */
interface Level {
  flags: string[];
  test: string;
}
const LEVELS: Record<string, Level> = {
  baseline: { flags: [], test: "true" },
  avx2: {
    flags: ["-mavx2", "-mfma", "-mf16c", "-mbmi2"],
    test: `__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")`,
  },
  avx512: {
    flags: [
      "-mavx512f",
      "-mavx512bw",
      "-mavx512vl",
      "-mavx512dq",
      "-mfma",
      "-mf16c",
      "-mbmi2",
      "-mprefer-vector-width=512",
    ],
    test: `__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && ` +
      `__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")`,
  },
};

/** Sources of kernels/cpu that hold no code for an instruction-set level; all others there are compiled once for each. */
const CPU_ONCE = new Set(["host_allocator.cc", "memory.cc", "thread_pool.cc", "library.cc", "sort.cc"]);

/** The files of a folder of kernels/ with an extension, relative to the project. */
function sourcesIn(folder: string, extension: string): string[] {
  return [...Deno.readDirSync(`${ROOT}kernels/${folder}`)].map(({ name }) => name)
    .filter((name) => name.endsWith(extension)).sort().map((name) => `kernels/${folder}/${name}`);
}

function objectName(source: string): string {
  return source.replace("kernels/", "").replaceAll("/", "_");
}

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

/** One compilation. Paths are relative to the project, so that its folder may be moved. */
interface Job {
  compiler: "g++" | "nvcc";
  args: string[];
  source: string;
  object: string;
}

function libraryName(backend: Backend): string {
  return `libaccelerate_${backend}.so`;
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function listFiles(directory: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) files.push(...await listFiles(path));
    else files.push(path);
  }
  return files.sort();
}

/** One hash over all that a library is made of: a change without a rebuild is a stale library. */
async function hashSources(backend: Backend): Promise<string> {
  const other = backend === "cpu" ? "/kernels/cuda/" : "/kernels/cpu/";
  const parts: string[] = [];
  for (const path of await listFiles(`${ROOT}kernels`)) {
    if (path.includes(other)) continue;
    parts.push(`${path.slice(ROOT.length)} ${await sha256(await Deno.readFile(path))}`);
  }
  return await sha256(new TextEncoder().encode(parts.join("\n")));
}

function dispatchSource(functions: HeaderFunction[], chosen: Record<string, Level>): string {
  const ops = functions.filter(({ tag }) => tag === "op");
  const levels = Object.keys(chosen);
  const parameters = (fn: HeaderFunction): string =>
    fn.parameters.map(({ type, name }) => `${type} ${name}`).join(", ");
  const declarations = ops.flatMap((fn) => levels.map((level) => `int32_t ${fn.name}__${level}(${parameters(fn)});`));
  const fields = ops.map((fn) => `  int32_t (*${fn.name})(${parameters(fn)});`);
  const tables = levels.map((level) =>
    `const Table ${level} = {"${level}", ${ops.map((fn) => `${fn.name}__${level}`).join(", ")}};`
  );
  const choices = levels.toReversed().map((level) =>
    `  if (${
      chosen[level].test
    } && (wanted == nullptr || *wanted == 0 || strcmp(wanted, "${level}") == 0)) return ${level};`
  );
  const exported = ops.map((fn) =>
    `int32_t ${fn.name}(${parameters(fn)}) { return table.${fn.name}(${
      fn.parameters.map(({ name }) => name).join(", ")
    }); }`
  );
  return `#include <stdlib.h>
#include <string.h>
#include "include/accelerate.h"
extern "C" {
${declarations.join("\n")}
}
namespace ax { const char* isaName(); }
namespace {
struct Table {
  const char* name;
${fields.join("\n")}
};
${tables.join("\n")}
const Table& choose() {
  const char* wanted = getenv("ACCELERATE_ISA");
  __builtin_cpu_init();
${choices.join("\n")}
  return ${levels[0]};
}
const Table table = choose();
}  // namespace
namespace ax { const char* isaName() { return table.name; } }
${exported.join("\n")}
`;
}

async function run(command: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (!success) {
    console.error(`${command} ${args.join(" ")}\n${new TextDecoder().decode(stderr)}`);
    Deno.exit(1);
  }
  return new TextDecoder().decode(stdout);
}

/** The text of a file that may not exist yet. */
async function readIfThere(path: string): Promise<string> {
  return await Deno.readTextFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
}

/** A hash of the command and of every file of the project that the compiler read, which it lists in `dependencies`. */
async function inputsKey(command: string[], dependencies: string): Promise<string> {
  const paths = dependencies.replace(/^[^:]*:/, "").split(/[\s\\]+/).filter((path) => /^(kernels|build)\//.test(path));
  const hashes = await Promise.all(paths.map(async (path) => {
    const text = await readIfThere(`${ROOT}${path}`);
    return `${path} ${await sha256(new TextEncoder().encode(text))}`;
  }));
  return await sha256(new TextEncoder().encode([...command, ...hashes].join("\n")));
}

/** Compiles unless the object was made by the same command from the same texts. */
async function compileOnce({ compiler, args, source, object }: Job): Promise<void> {
  const command = [...args, "-MMD", "-MF", `${object}.d`, "-c", source, "-o", object];
  const listed = await readIfThere(`${ROOT}${object}.d`);
  const stored = await readIfThere(`${ROOT}${object}.key`);
  if (listed !== "" && stored === await inputsKey([compiler, ...command], listed)) return;
  await run(compiler, command);
  const key = await inputsKey([compiler, ...command], await Deno.readTextFile(`${ROOT}${object}.d`));
  await Deno.writeTextFile(`${ROOT}${object}.key`, key);
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
    ...[...sourcesIn("ops", ".cu"), ...sourcesIn("cuda", ".cu")].map((source): Job => ({
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

/** Where nvcc's static runtime lies. */
async function cudaLinkFlags(): Promise<string[]> {
  const dryRun = await new Deno.Command("nvcc", { args: ["--dryrun", "-x", "cu", "/dev/null"], stderr: "piped" })
    .output();
  const path = /^#\$ TOP=(.*)$/m.exec(new TextDecoder().decode(dryRun.stderr))?.[1];
  if (path === undefined) throw new Error("nvcc does not say where its toolkit lies");
  return [`-L${path}/lib64`, "-lcudart_static", "-ldl", "-lrt", "-lpthread"];
}

interface Checksums {
  abi: string;
  sources: Record<string, string>;
  libraries: Record<string, string>;
}

async function readChecksums(): Promise<Checksums> {
  return JSON.parse(await Deno.readTextFile(`${PREBUILT}/checksums.json`));
}

async function build(backend: Backend, { levels, architectures, isComplete }: Targets): Promise<void> {
  const directory = `build/${backend}`;
  await Deno.mkdir(`${ROOT}${directory}`, { recursive: true });
  await Deno.mkdir(PREBUILT, { recursive: true });
  const header = await Deno.readFile(`${ROOT}kernels/include/accelerate.h`);
  const functions = parseHeader(new TextDecoder().decode(header));
  const abi = await sha256(header);
  const define = `-DAX_ABI_HASH="${abi}"`;
  const jobs = backend === "cpu"
    ? await cpuJobs(directory, functions, define, levels)
    : cudaJobs(directory, define, architectures);
  const objects = jobs.map(({ object }) => object);
  const work = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await compileOnce(job);
  };
  await Promise.all([work(), work()]);
  const library = libraryName(backend);
  const temporary = `${PREBUILT}/${library}.tmp`;
  // The static C++ runtime must not be exported: a host program may have another one.
  const versions = `${directory}/exports.map`;
  await Deno.writeTextFile(`${ROOT}${versions}`, "{ global: ax_*; local: *; };\n");
  await run("g++", [
    ...LINK,
    `-Wl,--version-script=${versions}`,
    ...objects,
    ...(backend === "cuda" ? await cudaLinkFlags() : []),
    "-o",
    temporary,
  ]);
  await checkExports(temporary, functions);
  await checkLinks(temporary);
  await Deno.rename(temporary, `${PREBUILT}/${library}`);
  if (isComplete) await recordChecksums(backend, abi);
  console.log(`${library}: ${functions.length} functions, ${(await Deno.stat(`${PREBUILT}/${library}`)).size} bytes`);
}

async function recordChecksums(backend: Backend, abi: string): Promise<void> {
  const library = libraryName(backend);
  const checksums = await readChecksums();
  checksums.abi = abi;
  checksums.sources = { ...checksums.sources, [backend]: await hashSources(backend) };
  checksums.libraries[library] = await sha256(await Deno.readFile(`${PREBUILT}/${library}`));
  await Deno.writeTextFile(`${PREBUILT}/checksums.json`, JSON.stringify(checksums, null, 2) + "\n");
}

/** The library exports what the header declares, and nothing else. */
async function checkExports(path: string, functions: HeaderFunction[]): Promise<void> {
  const exported = (await run("nm", ["-D", "--defined-only", path])).trim().split("\n").map((line) =>
    line.split(" ").pop()!
  ).sort();
  const declared = functions.map(({ name }) => name).sort();
  if (exported.join() === declared.join()) return;
  const wrong = [...exported, ...declared].filter((name) => !exported.includes(name) || !declared.includes(name));
  console.error(
    `${path} must export exactly the functions of accelerate.h; these differ: ${wrong.slice(0, 10).join(", ")}`,
  );
  Deno.exit(1);
}

const ALLOWED_LINKS = /^(libc|libm|libdl|librt|libpthread|ld-linux-x86-64)\.so\.\d+$/;
const NEWEST_GLIBC = 34;

/** It needs only the C library, and none newer than Debian 12's. */
async function checkLinks(path: string): Promise<void> {
  const needed = [...(await run("readelf", ["-d", path])).matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name);
  const versions = [...(await run("objdump", ["-T", path])).matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) =>
    Number(minor)
  );
  const wrong = needed.filter((name) => !ALLOWED_LINKS.test(name));
  if (wrong.length === 0 && Math.max(...versions) <= NEWEST_GLIBC) return;
  console.error(
    `${path} must link only to the C library up to GLIBC_2.${NEWEST_GLIBC}: ${wrong.join(", ")} GLIBC_2.${
      Math.max(...versions)
    }`,
  );
  Deno.exit(1);
}

async function check(backend: Backend): Promise<void> {
  const checksums = await readChecksums();
  const library = libraryName(backend);
  const actual = await sha256(await Deno.readFile(`${PREBUILT}/${library}`));
  if (checksums.sources[backend] !== await hashSources(backend) || checksums.libraries[library] !== actual) {
    console.error(`${library} is not what kernels/ says: run \`deno task build:${backend}\` and commit ffi/prebuilt`);
    Deno.exit(1);
  }
}

if (import.meta.main) {
  const backend = Deno.args[0];
  if (backend !== "cpu" && backend !== "cuda") {
    console.error("usage: deno run -A kernels/build.ts cpu|cuda [--check] [--levels=A,B] [--archs=A,B]");
    Deno.exit(2);
  }
  await (Deno.args.includes("--check") ? check(backend) : build(backend, chooseTargets(Deno.args)));
}
