/**
 * Our programs and their peers in PyTorch 2.13 + Accelerate 1.15, interleaved: `deno task bench --python /venv/bin/python`. Prints a
 * table of ratios and writes it as JSON with `--out FILE`. `--only TEXT` leaves only the rows whose name contains the text.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import matmulCases from "./matmul_cases.json" with { type: "json" };

interface Row {
  what: string;
  unit: string;
  ours: number;
  peer: number;
  /** Above 1: we are that many times faster, or smaller. */
  ratio: number;
  /** Percentage of the machine's own limit, as the same run of ours has measured it in its field `peak`. */
  limitPercent?: number;
}

const options = parseArgs(Deno.args, {
  string: ["python", "out", "rounds", "only"],
  default: { python: "python3", rounds: "3", only: "" },
});
const python = String(options.python);
const rounds = Number(options.rounds);
const here = (path: string): string => new URL(path, import.meta.url).pathname;
const CLI = here("../cli.ts");
const torchrun = ["-m", "torch.distributed.run", "--nproc_per_node", "2"];

async function run(command: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, env, stdout: "piped", stderr: "piped" })
    .output();
  if (!success) throw new Error(`${command} ${args.join(" ")} failed:\n${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

type Result = Record<string, number>;

async function json(command: string, args: string[], env?: Record<string, string>): Promise<Result> {
  return JSON.parse((await run(command, args, env)).trim().split("\n").at(-1)!);
}

async function seconds(command: string, args: string[]): Promise<Result> {
  const start = performance.now();
  await run(command, args);
  return { seconds: (performance.now() - start) / 1000 };
}

function median(values: number[]): number {
  if (values.length === 0 || !values.every((value) => Number.isFinite(value) && value > 0)) {
    throw new Error(`bad timings: ${values}`);
  }
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

const rows: Row[] = [];

/** Runs both in turn and adds a row for each field; rates count the other way round. A run of ours may say its limit as `peak`. */
async function compare(
  fields: Record<string, { what: string; unit: string; isRate?: boolean }>,
  ours: () => Promise<Result>,
  peer: () => Promise<Result>,
): Promise<void> {
  const wanted = Object.entries(fields).filter(([, { what }]) => what.includes(String(options.only)));
  if (wanted.length === 0) return;
  const results: [Result, Result][] = [];
  for (let i = 0; i < rounds; i++) results.push([await ours(), await peer()]);
  for (const [field, { what, unit, isRate }] of wanted) {
    const a = median(results.map(([result]) => result[field]));
    const b = median(results.map(([, result]) => result[field]));
    const row: Row = { what, unit, ours: a, peer: b, ratio: isRate ? a / b : b / a };
    if ("peak" in results[0][0]) row.limitPercent = 100 * median(results.map(([ours]) => ours[field] / ours.peak));
    rows.push(row);
    console.log(
      `${what.padEnd(54)} ${a.toFixed(1).padStart(10)} ${b.toFixed(1).padStart(10)} ${unit.padEnd(8)} ${
        row.ratio.toFixed(2)
      }x${row.limitPercent === undefined ? "" : ` ${row.limitPercent.toFixed(0).padStart(4)}% of peak`}`,
    );
  }
}

console.log(`${"".padEnd(54)} ${"ours".padStart(10)} ${"peer".padStart(10)}`);
const launch = ["run", "-A", CLI, "launch", "--cpu"];
const regression = (what: string): Parameters<typeof compare>[0] => ({
  median: { what: `${what}, median epoch of 200`, unit: "us/step" },
  mean: { what: `${what}, all of 200 epochs`, unit: "us/step" },
  residentBytes: { what: `${what}, resident memory`, unit: "bytes" },
});
await compare(
  regression("regression"),
  () => json(Deno.execPath(), ["run", "-A", here("regression.ts"), "200"]),
  () => json(python, [here("peers/regression.py"), "200"]),
);
await compare(
  regression("regression, 2 ranks"),
  () => json(Deno.execPath(), [...launch, "--num-processes", "2", here("regression.ts"), "200"]),
  () => json(python, [...torchrun, here("peers/regression.py"), "200"], { OMP_NUM_THREADS: "1" }),
);
await compare(
  { seconds: { what: "whole command, launch of 2 epochs", unit: "s" } },
  () => seconds(Deno.execPath(), ["run", "-A", CLI, "launch"]),
  () => seconds(python, ["-m", "accelerate.commands.launch", "--cpu", here("peers/regression.py"), "2"]),
);
await compare(
  {
    1024: { what: "all-reduce of 1 KB, 2 processes", unit: "us" },
    67108864: { what: "all-reduce of 64 MB, 2 processes", unit: "us" },
  },
  () => json(Deno.execPath(), [...launch, "--num-processes", "2", here("all_reduce.ts")]),
  () => json(python, [...torchrun, here("peers/all_reduce.py")], { OMP_NUM_THREADS: "1" }),
);
for (const threads of ["1", "2"]) {
  const fields = Object.fromEntries(
    matmulCases.map(({ name }) => [name, { what: `${name}, ${threads} thread(s)`, unit: "GFLOP/s", isRate: true }]),
  );
  await compare(
    fields,
    () => json(Deno.execPath(), ["run", "-A", here("matmul.ts")], { ACCELERATE_NUM_THREADS: threads }),
    () => json(python, [here("peers/matmul.py"), threads]),
  );
}
await compare(
  {
    loader: { what: "epoch of mnist_cnn.ts, 2 threads", unit: "ms" },
    inOrder: { what: "the same without a loader, 2 threads", unit: "ms" },
  },
  () => json(Deno.execPath(), ["run", "-A", here("cnn_epoch.ts")], { ACCELERATE_NUM_THREADS: "2" }),
  () => json(python, [here("peers/cnn_epoch.py"), "2"]),
);
const convolutions = [
  "3x3 of 3 channels",
  "3x3",
  "3x3 of 7x7",
  "1x1",
  "3x3 stride 2",
  "7x7 stride 2",
  "depthwise 3x3",
].flatMap((name) => [`${name}, forward`, `${name}, forward and backward`]);
await compare(
  Object.fromEntries(convolutions.map((name) => [name, { what: `conv2d ${name}`, unit: "ms" }])),
  () => json(Deno.execPath(), ["run", "-A", here("convolution.ts")], { ACCELERATE_NUM_THREADS: "2" }),
  () => json(python, [here("peers/convolution.py"), "2"]),
);

const elementwise = [
  ...[
    "relu",
    "add",
    "mul",
    "add number",
    "add scalar tensor",
    "add row",
    "mul column",
    "add transposed",
    "copy transposed",
  ],
  ...[
    "compare",
    "add bfloat16",
    "to bfloat16",
    "mask to float32",
    "sum dim 0",
    "sum dim 1",
    "sum all",
    "max dim 0",
    "argmax dim 1",
  ],
];
for (const threads of ["1", "2"]) {
  await compare(
    Object.fromEntries(
      elementwise.map((name) => [name, { what: `${name}, (4096, 1024), ${threads} thread(s)`, unit: "ms" }]),
    ),
    () => json(Deno.execPath(), ["run", "-A", here("elementwise.ts")], { ACCELERATE_NUM_THREADS: threads }),
    () => json(python, [here("peers/elementwise.py"), threads]),
  );
}

await compare(
  {
    median: { what: "training step of a small GPT", unit: "ms/step" },
    residentBytes: { what: "training step of a small GPT, resident memory", unit: "bytes" },
  },
  () => json(Deno.execPath(), ["run", "-A", here("gpt_step.ts")]),
  () => json(python, [here("peers/gpt_step.py")]),
);

if (options.out !== undefined) {
  const commit = (await run("git", ["-C", here(".."), "rev-parse", "HEAD"])).trim();
  const cpu = /model name\s*:\s*(.*)/.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1] ?? "unknown";
  const command = `deno run -A bench/against_pytorch.ts ${Deno.args.join(" ")}`.replace(python, "python");
  await Deno.writeTextFile(
    String(options.out),
    JSON.stringify(
      { command, commit, cpu, cores: navigator.hardwareConcurrency, deno: Deno.version.deno, rounds, rows },
      null,
      2,
    ) + "\n",
  );
}
