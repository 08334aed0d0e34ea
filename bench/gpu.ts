/**
 * Kernels on a GPU beside PyTorch's, interleaved: `deno run -A bench/gpu.ts --python /venv/bin/python --out FILE`. Prints for each case our
 * microseconds, the share of the floor (copying on this GPU, or the data sheet's rate), and the ratio to each of the peer's implementations.
 * `--only TEXT` leaves the cases whose name contains the text; `--rounds N` repeats each pair (default 5) and takes medians. `--smoke` runs
 * everything once in small sizes, on the emulated GPU and PyTorch's CPU too, and measures nothing.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { device, type DeviceName, devices } from "../mod.ts";
import { check } from "../ffi/call.ts";
import { readCString } from "../ffi/library.ts";
import { type Case, makeCases } from "./gpu/cases.ts";
import { Peer, type PeerTimes } from "./gpu/peer.ts";

interface Row {
  what: string;
  microseconds: number;
  /** Share of the floor in percent; the floor of copies is the faster of both copies. */
  floorPercent: number;
  peers: PeerTimes;
  /** Peer's time by ours: above 1 we are faster. */
  ratios: Record<string, number>;
}

/** Operations a second of the data sheet, dense. */
const RATES: Record<string, { bfloat16: number; float32: number }> = {
  H200: { bfloat16: 989e12, float32: 67e12 },
  H100: { bfloat16: 989e12, float32: 67e12 },
  A100: { bfloat16: 312e12, float32: 19.5e12 },
};

const options = parseArgs(Deno.args, {
  string: ["python", "out", "rounds", "only"],
  boolean: ["smoke"],
  default: { python: "python3", rounds: "5", only: "" },
});
const isSmoke = options.smoke === true;
const rounds = isSmoke ? 1 : Number(options.rounds);
const MILLISECONDS = 40;

function median(values: number[]): number {
  if (values.length === 0 || !values.every((value) => Number.isFinite(value) && value > 0)) {
    throw new Error(`bad timings: ${values}`);
  }
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

const name = devices()[1] as DeviceName | undefined;
if (name === undefined) throw new Error("Cannot measure: this machine has no GPU. --smoke runs on an emulated one");
const gpu = device(name);
const synchronize = (): void =>
  check(gpu.library.ax_device_synchronize(gpu.index), "ax_device_synchronize", gpu.library);

/** What the library says of itself and of the GPU. */
function describe(): Record<string, string> {
  const text = new Uint8Array(512);
  check(gpu.library.ax_library_describe(text, text.length), "ax_library_describe", gpu.library);
  return Object.fromEntries(readCString(text).trim().split("\n").map((line) => line.split("=") as [string, string]));
}

/** Microseconds of one call. */
function time(run: (i: number) => void, repeats: number): number {
  synchronize();
  const start = performance.now();
  for (let i = 0; i < repeats; i++) run(i);
  synchronize();
  return (performance.now() - start) * 1000 / repeats;
}

function report({ what, microseconds, floorPercent, ratios }: Row): void {
  if (isSmoke) return console.log(`${what}: both ran`);
  const text = Object.entries(ratios).map(([variant, ratio]) => `${ratio.toFixed(2)}x ${variant}`).join(", ");
  const share = Number.isNaN(floorPercent) ? "?" : floorPercent.toFixed(0);
  console.log(`${what.padEnd(66)} ${microseconds.toFixed(1).padStart(10)} us ${share.padStart(4)}%  ${text}`);
}

async function compare(test: Case, peer: Peer): Promise<[number, PeerTimes]> {
  const run = test.prepare(name!);
  time(run, isSmoke ? 1 : 3);
  const repeats = isSmoke ? 1 : Math.max(1, Math.ceil(MILLISECONDS * 1000 / time(run, 3)));
  const ours: number[] = [];
  const theirs: PeerTimes[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(time(run, repeats));
    theirs.push(await peer.time(test.kind, test.sizes, repeats));
  }
  const variants = Object.keys(theirs[0]);
  return [
    median(ours),
    Object.fromEntries(variants.map((variant) => [variant, median(theirs.map((times) => times[variant]))])),
  ];
}

/** The median a step that a program prints as the last line. */
async function runProgram(command: string, args: string[]): Promise<number> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd: new URL("../", import.meta.url) })
    .output();
  if (!success) throw new Error(`${command} ${args.join(" ")} failed:\n${new TextDecoder().decode(stderr)}`);
  return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!).median;
}

async function comparePrograms(epochs: string, captured: string[]): Promise<[number, number]> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < Math.min(rounds, 3); round++) {
    ours.push(await runProgram(Deno.execPath(), ["run", "-A", "bench/regression.ts", epochs, ...captured]));
    const peer = ["bench/peers/regression.py", epochs, ...(isSmoke ? [] : ["cuda"])];
    theirs.push(await runProgram(String(options.python), peer));
  }
  return [median(ours), median(theirs)];
}

const [peer, peerDescription] = await Peer.start(String(options.python), isSmoke ? "cpu" : "cuda");
const description = describe();
const rates = Object.entries(RATES).find(([model]) => description.device?.includes(model))?.[1];
let copyBytesPerSecond = 0;
const rows: Row[] = [];
for (
  const test of makeCases(isSmoke).filter((each) => each.kind === "copy" || each.name.includes(String(options.only)))
) {
  const [microseconds, peers] = await compare(test, peer);
  const rate = test.work / microseconds * 1e6;
  if (test.kind === "copy") copyBytesPerSecond = test.work / Math.min(microseconds, peers.torch) * 1e6;
  const floor = test.floor === "copy" ? copyBytesPerSecond : rates?.[test.floor];
  const ratios = Object.fromEntries(Object.entries(peers).map(([variant, peer]) => [variant, peer / microseconds]));
  rows.push({
    what: test.name,
    microseconds,
    floorPercent: floor === undefined ? NaN : 100 * rate / floor,
    peers,
    ratios,
  });
  report(rows.at(-1)!);
}
await peer.close();
for (const captured of [[], ["captured"]]) {
  const what = `regression program, batch 8, ${captured[0] ?? "eager"}`;
  if (!what.includes(String(options.only))) continue;
  const epochs = isSmoke ? "3" : "40";
  const [ours, theirs] = await comparePrograms(epochs, captured);
  rows.push({
    what,
    microseconds: ours,
    floorPercent: NaN,
    peers: { "torch + accelerate, eager": theirs },
    ratios: { "torch + accelerate, eager": theirs / ours },
  });
  report(rows.at(-1)!);
}
if (rows.length < 2) throw new Error(`no case is named "${options.only}"`);
if (options.out !== undefined) {
  if (isSmoke) throw new Error("Cannot write results of --smoke: it measures nothing");
  const { stdout } = await new Deno.Command("git", { args: ["rev-parse", "HEAD"] }).output();
  const result = {
    command: `deno run -A bench/gpu.ts ${Deno.args.join(" ")}`.replace(String(options.python), "python"),
    commit: new TextDecoder().decode(stdout).trim(),
    ours: description,
    peer: peerDescription,
    copyGbPerSecond: copyBytesPerSecond / 1e9,
    rounds,
    rows,
  };
  await Deno.writeTextFile(String(options.out), JSON.stringify(result, null, 2) + "\n");
}
