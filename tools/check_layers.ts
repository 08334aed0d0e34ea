/**
 * Dependencies point down, and form no cycle; the native boundary stays where it is; what users import by URL has no bare
 * specifier.
 *
 * @module
 */
const ROOT = new URL("../", import.meta.url).pathname;

/** The first pattern that fits gives a file's layer. A file may import values from its own layer and from lower ones. */
const LAYERS: [RegExp, number][] = [
  [/^(ffi\/|deno\.json$)/, 0],
  [/^src\/core\//, 1],
  [/^src\/ops\//, 2],
  [/^src\/[^/]+\.ts$/, 3],
  [/^src\/(nn|optim|data|io|tracking)\//, 4],
  [/^src\/distributed\//, 5],
  [/^src\/accelerator\//, 6],
  [/^src\/launch\//, 7],
  [/^(mod|cli)\.ts$/, 8],
];

/** Words that only some files may use. */
const RESERVED: [RegExp, RegExp][] = [
  [/Deno\.dlopen/, /^ffi\//],
  [/Deno\.Unsafe/, /^(ffi\/|src\/core\/scalar_slab\.ts$)/],
];

interface Import {
  specifier: string;
  isType: boolean;
}

function importsOf(text: string): Import[] {
  const found: Import[] = [];
  for (const [, clause, specifier] of text.matchAll(/^(?:import|export)\s+([^;"]*?)\s*from\s+"([^"]+)"/gm)) {
    const names = /^\{([^}]*)\}$/.exec(clause.trim())?.[1].split(",").map((name) => name.trim()).filter((name) =>
      name !== ""
    );
    const isType = clause.startsWith("type ") ||
      (names !== undefined && names.every((name) => name.startsWith("type ")));
    found.push({ specifier, isType });
  }
  for (const [, specifier] of text.matchAll(/^import\s+"([^"]+)"/gm)) found.push({ specifier, isType: false });
  return found;
}

async function listSources(directory: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(ROOT + directory)) {
    if (isDirectory) files.push(...await listSources(`${directory}${name}/`));
    else if (name.endsWith(".ts") && !name.endsWith(".d.ts")) files.push(directory + name);
  }
  return files;
}

const problems: string[] = [];
const graph = new Map<string, string[]>();
for (const path of ["mod.ts", "cli.ts", ...await listSources("ffi/"), ...await listSources("src/")]) {
  const text = await Deno.readTextFile(ROOT + path);
  const layer = LAYERS.find(([pattern]) => pattern.test(path))?.[1];
  if (layer === undefined) {
    problems.push(`${path} lies in no layer: add its folder to tools/check_layers.ts`);
    continue;
  }
  for (const [word, allowed] of RESERVED) {
    if (word.test(text) && !allowed.test(path)) {
      problems.push(`${path} uses ${word.source}, which is reserved for ${allowed.source}`);
    }
  }
  const values: string[] = [];
  for (const { specifier, isType } of importsOf(text)) {
    if (!/^(\.|npm:|node:)/.test(specifier)) {
      problems.push(`${path} imports "${specifier}": only relative and npm: specifiers`);
    }
    if (!specifier.startsWith(".") || isType) continue;
    const target = new URL(specifier, `file:///${path}`).pathname.slice(1);
    const targetLayer = LAYERS.find(([pattern]) => pattern.test(target))?.[1];
    if (targetLayer === undefined || targetLayer > layer) problems.push(`${path} imports ${target}, which is above it`);
    values.push(target);
  }
  graph.set(path, values);
}

const done = new Set<string>();
function visit(path: string, trail: string[]): void {
  if (trail.includes(path)) {
    problems.push(`import cycle: ${[...trail.slice(trail.indexOf(path)), path].join(" -> ")}`);
    return;
  }
  if (done.has(path)) return;
  for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
  done.add(path);
}
for (const path of graph.keys()) visit(path, []);

/** Launching must not load the native library. */
function reaches(from: string, target: string, seen = new Set<string>()): boolean {
  if (from === target) return true;
  if (seen.has(from)) return false;
  seen.add(from);
  return (graph.get(from) ?? []).some((next) => reaches(next, target, seen));
}
if (reaches("cli.ts", "ffi/library.ts")) {
  problems.push("cli.ts reaches ffi/library.ts: launching must not load the native library");
}

for (const problem of problems) console.error(problem);
if (problems.length > 0 || graph.size < 10) Deno.exit(1);
