/**
 * Scripts on several CPU ranks, through the real command line.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { runCli, ScriptFolder } from "./processes.ts";

const MOD = new URL("../../mod.ts", import.meta.url).href;
const NAMES = [
  "Accelerator",
  "arange",
  "cat",
  "CollectiveError",
  "data",
  "findExecutableBatchSize",
  "LocalSGD",
  "manualSeed",
  "nn",
  "noGrad",
  "ones",
  "optim",
  "OutOfMemoryError",
  "rand",
  "randn",
  "setSeed",
  "stack",
  "tensor",
  "zeros",
];
// The prebuilt library, not the empty folder of scripts that compute nothing.
const ENV = { ACCELERATE_LIBRARY_DIR: "" };

/** What scripts of tests begin with. `show(value)` is what a rank has to say: it is read as JSON. */
const PRELUDE = `import { ${NAMES.join(", ")} } from "${MOD}";
const plain = (value) => value?.toArray ? plain(value.toArray()) : typeof value === "bigint" ? Number(value)
  : Array.isArray(value) ? value.map(plain)
  : value !== null && typeof value === "object" && !(value instanceof Error)
  ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)])) : value;
const show = (value) => console.log("show " + JSON.stringify(plain(value)));
`;

/** What a rank has said. */
export interface RankOutput {
  /** What it gave to `show`. */
  shown: unknown[];
  /** Its other lines. */
  lines: string[];
}

/** How to run a script on ranks. */
export interface RanksOptions {
  /** More options of `launch`. */
  args?: string[];
  /** Files beside the script. */
  files?: Record<string, string>;
  /** Whether something may be written to stderr. */
  mayWarn?: boolean;
}

/** Runs a script on ranks and returns what each of them said; fails when one of them fails. */
export async function onRanks(count: number, script: string, options: RanksOptions = {}): Promise<RankOutput[]> {
  using folder = new ScriptFolder({ ...options.files, "a.ts": PRELUDE + script });
  const args = ["launch", "--cpu", "--num-processes", String(count), ...options.args ?? [], "a.ts"];
  const { code, stdout, stderr } = await runCli(args, folder, { env: ENV });
  if (code !== 0 || options.mayWarn !== true) assertEquals([code, stderr], [0, ""]);
  const output = Array.from({ length: count }, (): RankOutput => ({ shown: [], lines: [] }));
  for (const line of stdout.split("\n")) {
    const [, rank, text] = /^(?:\[rank (\d+)\] )?(.*)$/.exec(line)!;
    const own = output[Number(rank ?? 0)];
    if (text.startsWith("show ")) own.shown.push(JSON.parse(text.slice(5)));
    else if (text !== "") own.lines.push(text);
  }
  return output;
}

/** What every rank has shown. */
export async function shownOn(count: number, script: string, options: RanksOptions = {}): Promise<unknown[][]> {
  return (await onRanks(count, script, options)).map(({ shown }) => shown);
}
