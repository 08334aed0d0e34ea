/**
 * Builds a native library: `deno run -A kernels/build.ts cpu`. With `--check` it only compares checksums.json with the tree.
 *
 * @module
 */
import { type HeaderFunction, parseHeader } from "../tools/header.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const BUILD = `${ROOT}build/cpu`;
const PREBUILT = `${ROOT}ffi/prebuilt/linux-x86_64`;
const LIBRARY = "libaccelerate_cpu.so";

const COMPILE = [
  ...[
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
  ],
  ...["-Wall", "-Wextra", "-Wmissing-declarations", "-Werror", "-Wno-maybe-uninitialized", "-I", `${ROOT}kernels`],
];
const LINK = ["-shared", "-s", "-Wl,-z,nodelete", "-static-libstdc++", "-static-libgcc"];

/** Instruction-set levels of the CPU library, lowest first, with the test that dispatch uses. */
const LEVELS: Record<string, { flags: string[]; test: string }> = {
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

const SHARED = [
  "status",
  "process_watch",
  "shm_segment",
  "shm_comm",
  "shm_collectives",
  "shm_reduce",
  "storage_api",
  "comm_api",
]
  .map((file) => `common/${file}.cc`);
const ONCE = [...SHARED, ...["host_allocator", "memory", "thread_pool", "library"].map((file) => `cpu/${file}.cc`)];
const PER_LEVEL = ["elementwise", "copy", "random", "reduce", "index", "losses", "optimizers"].map((op) =>
  `ops/${op}.cu`
)
  .concat("cpu/matmul.cc");

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

/** One hash over everything under kernels/: a change without a rebuild is a stale library. */
async function hashSources(): Promise<string> {
  const parts: string[] = [];
  for (const path of await listFiles(`${ROOT}kernels`)) {
    parts.push(`${path.slice(ROOT.length)} ${await sha256(await Deno.readFile(path))}`);
  }
  return await sha256(new TextEncoder().encode(parts.join("\n")));
}

function dispatchSource(functions: HeaderFunction[]): string {
  const ops = functions.filter(({ tag }) => tag === "op");
  const levels = Object.keys(LEVELS);
  const parameters = (fn: HeaderFunction): string =>
    fn.parameters.map(({ type, name }) => `${type} ${name}`).join(", ");
  const declarations = ops.flatMap((fn) => levels.map((level) => `int32_t ${fn.name}__${level}(${parameters(fn)});`));
  const fields = ops.map((fn) => `  int32_t (*${fn.name})(${parameters(fn)});`);
  const tables = levels.map((level) =>
    `const Table ${level} = {"${level}", ${ops.map((fn) => `${fn.name}__${level}`).join(", ")}};`
  );
  const choices = levels.toReversed().map((level) =>
    `  if (${
      LEVELS[level].test
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
  return baseline;
}
const Table table = choose();
}  // namespace
namespace ax { const char* isaName() { return table.name; } }
${exported.join("\n")}
`;
}

async function run(command: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, stdout: "piped", stderr: "piped" })
    .output();
  if (!success) {
    console.error(`${command} ${args.join(" ")}\n${new TextDecoder().decode(stderr)}`);
    Deno.exit(1);
  }
  return new TextDecoder().decode(stdout);
}

async function hashHeaders(): Promise<string> {
  const paths = [...await listFiles(`${ROOT}kernels`), ...await listFiles(BUILD)].filter((path) => path.endsWith(".h"));
  return (await Promise.all(paths.map(async (path) => await sha256(await Deno.readFile(path))))).join();
}

/** Compiles unless the object was made by the same command from the same texts. */
async function compileOnce(args: string[], headers: string): Promise<void> {
  const [source, object] = [args[args.indexOf("-c") + 1], args[args.indexOf("-o") + 1]];
  const text = `${args.join(" ")} ${headers} ${await sha256(await Deno.readFile(source))}`;
  const key = await sha256(new TextEncoder().encode(text));
  const stored = await Deno.readTextFile(`${object}.key`).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
  if (stored === key) return;
  await run("g++", args);
  await Deno.writeTextFile(`${object}.key`, key);
}

async function build(): Promise<void> {
  await Deno.mkdir(BUILD, { recursive: true });
  await Deno.mkdir(PREBUILT, { recursive: true });
  const header = await Deno.readFile(`${ROOT}kernels/include/accelerate.h`);
  const functions = parseHeader(new TextDecoder().decode(header));
  const abi = await sha256(header);
  const jobs: string[][] = [];
  const compile = (source: string, object: string, flags: string[]): void => {
    jobs.push([...COMPILE, `-DAX_ABI_HASH="${abi}"`, ...flags, "-x", "c++", "-c", source, "-o", object]);
  };
  await Deno.writeTextFile(`${BUILD}/dispatch.cc`, dispatchSource(functions));
  const objects = [`${BUILD}/dispatch.o`];
  compile(`${BUILD}/dispatch.cc`, objects[0], []);
  for (const source of ONCE) {
    const object = `${BUILD}/${source.replaceAll("/", "_")}.o`;
    compile(`${ROOT}kernels/${source}`, object, []);
    objects.push(object);
  }
  for (const [level, { flags }] of Object.entries(LEVELS)) {
    const renames = functions.filter(({ tag }) => tag === "op").map(({ name }) =>
      `#define ${name} ${name}__${level}\n`
    );
    await Deno.writeTextFile(`${BUILD}/${level}.h`, `#define AX_OP extern "C"\n${renames.join("")}`);
    for (const source of PER_LEVEL) {
      const object = `${BUILD}/${source.replaceAll("/", "_")}.${level}.o`;
      compile(`${ROOT}kernels/${source}`, object, [...flags, `-DAX_ISA=${level}`, "-include", `${BUILD}/${level}.h`]);
      objects.push(object);
    }
  }
  const headers = await hashHeaders();
  const work = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await compileOnce(job, headers);
  };
  await Promise.all([work(), work()]);
  const temporary = `${PREBUILT}/${LIBRARY}.tmp`;
  await run("g++", [...LINK, ...objects, "-o", temporary]);
  const exported = (await run("nm", ["-D", "--defined-only", temporary])).split("\n")
    .map((line) => line.split(" ").pop()!).filter((name) => name.startsWith("ax_")).sort();
  const declared = functions.map(({ name }) => name).sort();
  if (exported.join() !== declared.join()) {
    const wrong = [...exported, ...declared].filter((name) => !exported.includes(name) || !declared.includes(name));
    console.error(`${LIBRARY} must export exactly the functions of accelerate.h; these differ: ${wrong.join(", ")}`);
    Deno.exit(1);
  }
  await Deno.rename(temporary, `${PREBUILT}/${LIBRARY}`);
  const library = await sha256(await Deno.readFile(`${PREBUILT}/${LIBRARY}`));
  const checksums = { abi, sources: await hashSources(), libraries: { [LIBRARY]: library } };
  await Deno.writeTextFile(`${PREBUILT}/checksums.json`, JSON.stringify(checksums, null, 2) + "\n");
  console.log(`${LIBRARY}: ${declared.length} functions, ${(await Deno.stat(`${PREBUILT}/${LIBRARY}`)).size} bytes`);
}

async function check(): Promise<void> {
  const checksums = JSON.parse(await Deno.readTextFile(`${PREBUILT}/checksums.json`));
  const library = await sha256(await Deno.readFile(`${PREBUILT}/${LIBRARY}`));
  if (checksums.sources !== await hashSources() || checksums.libraries[LIBRARY] !== library) {
    console.error(`${LIBRARY} is not what kernels/ says: run \`deno task build:cpu\` and commit ffi/prebuilt`);
    Deno.exit(1);
  }
}

if (import.meta.main) {
  if (Deno.args[0] !== "cpu") {
    console.error("usage: deno run -A kernels/build.ts cpu [--check]");
    Deno.exit(2);
  }
  await (Deno.args.includes("--check") ? check() : build());
}
