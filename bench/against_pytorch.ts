/**
 * Our programs and their peers in PyTorch 2.13 + Accelerate 1.15, interleaved: `deno task bench --python /venv/bin/python`. Prints a
 * table of ratios and writes it as JSON with `--out FILE`. `--only TEXT` leaves only the suites whose name contains the text,
 * `--rounds N` repeats each pair N times and takes medians.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { type Suite, SUITES } from "./suites.ts";

interface Row {
  what: string;
  unit: string;
  ours: number;
  peer: number;
  /** Above 1: we are that many times faster, or smaller. */
  ratio: number;
  /** Percentage of the machine's own limit that ours reaches. */
  limitPercent?: number;
}

type Result = Record<string, number>;

const options = parseArgs(Deno.args, {
  string: ["python", "out", "rounds", "only"],
  default: { python: "python3", rounds: "3", only: "" },
});
const python = String(options.python);
const rounds = Number(options.rounds);
const ROOT = new URL("../", import.meta.url).pathname;
const LIMIT = " % of limit";

async function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    cwd: ROOT,
    env,
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`${command} ${args.join(" ")} failed:\n${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** One run: the JSON on the last line, or the seconds that the command took. */
async function measure(
  { isCommand }: Suite,
  command: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<Result> {
  const start = performance.now();
  const output = await run(command, args, env);
  if (isCommand === true) return { seconds: (performance.now() - start) / 1000 };
  return JSON.parse(output.trim().split("\n").at(-1)!);
}

function median(values: number[]): number {
  if (values.length === 0 || !values.every((value) => Number.isFinite(value) && value > 0)) {
    throw new Error(`bad timings: ${values}`);
  }
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

function print({ what, unit, ours, peer, ratio, limitPercent }: Row): void {
  const limit = limitPercent === undefined ? "" : ` ${limitPercent.toFixed(0).padStart(4)}% of limit`;
  const digits = ours < 10 ? 3 : 1;
  console.log(
    `${what.padEnd(58)} ${ours.toFixed(digits).padStart(11)} ${peer.toFixed(digits).padStart(11)} ${unit.padEnd(8)} ${
      ratio.toFixed(2).padStart(7)
    }x${limit}`,
  );
}

/** Runs both in turn and makes a row of each name that both print. */
async function compare(suite: Suite, threads: number | null): Promise<Row[]> {
  const results: [Result, Result][] = [];
  const env: Record<string, string> = threads === null ? {} : { ACCELERATE_NUM_THREADS: String(threads) };
  const peerArguments = threads === null ? suite.peer : [...suite.peer, String(threads)];
  for (let round = 0; round < rounds; round++) {
    const ours = await measure(suite, Deno.execPath(), suite.ours, env);
    results.push([ours, await measure(suite, python, peerArguments, { ...suite.peerEnv })]);
  }
  const names = suite.names ?? Object.keys(results[0][0]).filter((name) => name in results[0][1]);
  if (names.length === 0) throw new Error(`${suite.name}: the programs have no name in common`);
  return names.map((name) => {
    const ours = median(results.map(([result]) => result[name]));
    const peer = median(results.map(([, result]) => result[name]));
    const row: Row = {
      what: [suite.name, name, ...(threads === null ? [] : [`${threads} thread${threads > 1 ? "s" : ""}`])].join(", "),
      unit: suite.units?.[name] ?? suite.unit,
      ours,
      peer,
      ratio: suite.isRate === true ? ours / peer : peer / ours,
    };
    if (name + LIMIT in results[0][0]) row.limitPercent = median(results.map(([result]) => result[name + LIMIT]));
    return row;
  });
}

const rows: Row[] = [];
console.log(`${"".padEnd(58)} ${"ours".padStart(11)} ${"peer".padStart(11)}`);
for (const suite of SUITES.filter(({ name }) => name.includes(String(options.only)))) {
  for (const threads of suite.threads ?? [null]) {
    const found = await compare(suite, threads);
    found.forEach(print);
    rows.push(...found);
  }
}
if (rows.length === 0) throw new Error(`no suite is named "${options.only}"`);

if (options.out !== undefined) {
  const commit = (await run("git", ["rev-parse", "HEAD"])).trim();
  const cpu = /model name\s*:\s*(.*)/.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1] ?? "unknown";
  const command = `deno run -A bench/against_pytorch.ts ${Deno.args.join(" ")}`.replace(python, "python");
  const machine = { cpu, cores: navigator.hardwareConcurrency, deno: Deno.version.deno };
  await Deno.writeTextFile(
    String(options.out),
    JSON.stringify({ command, commit, ...machine, rounds, rows }, null, 2) + "\n",
  );
}
