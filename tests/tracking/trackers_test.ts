import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { Accelerator, tensor, type tracking } from "../../mod.ts";

type Call = [string, ...unknown[]];

class Recording implements tracking.Tracker {
  readonly name: string = "recording";
  readonly requiresLoggingDirectory: boolean = false;
  readonly calls: Call[] = [];
  start(context: tracking.TrackerContext): void {
    this.calls.push(["start", context]);
  }
  storeInitConfiguration(config: tracking.TrackedValues): void {
    this.calls.push(["config", config]);
    config.changed = true;
  }
  log(values: tracking.TrackedValues, step: number | undefined): void {
    this.calls.push(["log", values, step]);
  }
  finish(): void {
    this.calls.push(["finish"]);
  }
}

Deno.test("TR-1 a custom tracker is started late, gets the configuration, which is not changed, and values as numbers", async () => {
  const tracker = new Recording();
  const accelerator = new Accelerator({ logWith: tracker });
  assertEquals(tracker.calls, []);
  const config = { lr: 0.1, layers: [1, 2] };
  await accelerator.initTrackers("project", config);
  assertEquals(config as unknown, { lr: 0.1, layers: [1, 2] });
  accelerator.log({
    loss: tensor(0.5),
    each: tensor([1, 2]),
    note: "x",
    deep: { flag: tensor([1], { dtype: "bool" }) },
  }, { step: 3 });
  accelerator.log({ loss: NaN });
  assertEquals(accelerator.getTracker("recording"), tracker);
  assertEquals(accelerator.trackers, [tracker]);
  await accelerator.endTraining();
  assertEquals(tracker.calls, [
    ["start", { project: "project", loggingDir: undefined }],
    ["config", { lr: 0.1, layers: [1, 2], changed: true }],
    ["log", { loss: 0.5, each: [1, 2], note: "x", deep: { flag: 1 } }, 3],
    ["log", { loss: NaN }, undefined],
    ["finish"],
  ]);
  await accelerator.log({ loss: 1 });
  assertEquals([tracker.calls.length, accelerator.trackers], [5, []]);
});

Deno.test("TR-1 trackers are registered and found by name; what is wrong is said", async () => {
  const accelerator = new Accelerator({ logWith: ["mine"] });
  const unknown = await assertRejects(() => accelerator.initTrackers("p"), RangeError);
  assertMatch(unknown.message, /Cannot log with "mine": the trackers are jsonl, tensorboard, wandb, all/);
  accelerator.registerTrackerClass("mine", Recording);
  await accelerator.initTrackers("p");
  assert(accelerator.getTracker("recording") instanceof Recording);
  const other = assertThrows(() => accelerator.getTracker("other"), RangeError);
  assertMatch(other.message, /Cannot get the tracker "other": initTrackers has started recording/);
  assertThrows(() => accelerator.registerTrackerClass("x", {} as never), TypeError, "give a class");
  await assertRejects(() => accelerator.log({ a: 1 }, { step: 1.5 }), RangeError, "non-negative integer");

  const warnings: unknown[] = [];
  const warn = console.warn;
  console.warn = (...values) => void warnings.push(values.join(" "));
  try {
    accelerator.registerTrackerClass("mine", class Other extends Recording {});
    assertEquals(warnings, ['The tracker "mine" is replaced by Other']);
    await new Accelerator({ logWith: [] }).initTrackers("p");
    assertMatch(String(warnings[1]), /No tracker could start/);
  } finally {
    console.warn = warn;
  }
  const incomplete = { name: "half", log: () => {} } as unknown as tracking.Tracker;
  const missing = await assertRejects(() => new Accelerator({ logWith: incomplete }).initTrackers("p"), TypeError);
  assertMatch(
    missing.message,
    /lacks requiresLoggingDirectory \(boolean\), start \(function\), storeInitConfiguration \(function\), finish \(function\)/,
  );
  for (const logWith of ["jsonl", "tensorboard"]) {
    const error = await assertRejects(() => new Accelerator({ logWith }).initTrackers("p"), RangeError);
    assertMatch(error.message, /without a folder: give the Accelerator a projectDir/);
  }
});

Deno.test("JSONL is the default: a line for the configuration and for each step, appended when a run goes on", async () => {
  const projectDir = Deno.makeTempDirSync({ prefix: "accelerate-jsonl-" });
  try {
    for (const step of [1, 2]) {
      const accelerator = new Accelerator({ projectDir });
      await accelerator.initTrackers("run", { lr: 0.1 });
      accelerator.log({ loss: tensor(0.25), bad: Infinity, name: "a\nb" }, { step });
      accelerator.log({ loss: 1 });
      await accelerator.end();
    }
    const lines = Deno.readTextFileSync(`${projectDir}/run/metrics.jsonl`).trimEnd().split("\n").map((line) =>
      JSON.parse(line)
    );
    for (const line of lines) assert(Math.abs(Date.now() - Date.parse(line.time)) < 600_000);
    const [, ...rest] = lines.map(({ time: _, ...line }) => line);
    assertEquals(rest, [
      { step: 1, values: { loss: 0.25, bad: "Infinity", name: "a\nb" } },
      { step: 2, values: { loss: 1 } },
      { project: "run", config: { lr: 0.1 } },
      { step: 2, values: { loss: 0.25, bad: "Infinity", name: "a\nb" } },
      { step: 3, values: { loss: 1 } },
    ]);
  } finally {
    Deno.removeSync(projectDir, { recursive: true });
  }
});

/** The records of an event file; their checksums are compared by tfrecord_test.ts. */
function recordsOf(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const records: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = Number(view.getBigUint64(at, true));
    records.push(new TextDecoder("latin1").decode(bytes.subarray(at + 12, at + 12 + length)));
    at += 16 + length;
  }
  return records;
}

Deno.test("TensorBoard gets scalars, texts and the configuration, in files that do not collide", async () => {
  const projectDir = Deno.makeTempDirSync({ prefix: "accelerate-tensorboard-" });
  try {
    for (let run = 0; run < 2; run++) {
      const accelerator = new Accelerator({ projectDir, logWith: "tensorboard" });
      await accelerator.initTrackers("run", { lr: 0.1, betas: [0.9, 0.999] });
      accelerator.log({ "train/loss": tensor(0.25), deep: { a: 1, list: [2] }, note: "hi" }, { step: 5 });
      await accelerator.end();
    }
    const files = [...Deno.readDirSync(`${projectDir}/run`)].map(({ name }) => name);
    assertEquals(files.length, 2);
    for (const name of files) {
      assertMatch(name, /^events\.out\.tfevents\.\d{10}\..+\.\d+\.\d+$/);
      const records = recordsOf(await Deno.readFile(`${projectDir}/run/${name}`));
      assertEquals(records.length, 4);
      for (
        const [i, part] of ["brain.Event:2", "| betas | [0.9,0.999] |", "train/loss", "note/text_summary"].entries()
      ) {
        assert(records[i].includes(part), `${i}: ${records[i]}`);
      }
      for (const tag of ["deep/a", "deep/list/0"]) assert(records[2].includes(tag));
    }
  } finally {
    Deno.removeSync(projectDir, { recursive: true });
  }
});

const MOD = new URL("../../mod.ts", import.meta.url).href;

/** Runs a script in a folder with files of its own. */
async function run(files: Record<string, string>): Promise<string> {
  const folder = Deno.makeTempDirSync({ prefix: "accelerate-wandb-" });
  try {
    for (const [name, text] of Object.entries(files)) Deno.writeTextFileSync(`${folder}/${name}`, text);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-check", "main.ts"],
      cwd: folder,
      env: { NO_COLOR: "1" },
    }).output();
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const MAIN = `
  import { Accelerator } from "${MOD}";
  const accelerator = new Accelerator({ logWith: "wandb" });
  try {
    await accelerator.initTrackers("project", { lr: 1 });
  } catch (error) {
    console.log(error.name, error.message);
    Deno.exit();
  }
  accelerator.log({ loss: 2 }, { step: 3 });
  accelerator.log({ loss: 4 });
  await accelerator.endTraining();
`;

Deno.test("Weights & Biases without its SDK is a sentence that says how to install it", async () => {
  assertMatch(
    await run({ "main.ts": MAIN }),
    /^TypeError Cannot log to Weights & Biases: its SDK is not installed\. Run "deno add npm:@wandb\/sdk" in your project/,
  );
});

Deno.test("Weights & Biases with an SDK in the user's import map gets project, configuration, values and the end", async () => {
  const output = await run({
    "main.ts": MAIN,
    "deno.json": JSON.stringify({ imports: { "@wandb/sdk": "./sdk.ts" } }),
    "sdk.ts": `
      const say = (...values: unknown[]) => console.log(JSON.stringify(values));
      export default {
        init: async (options: unknown) => say("init", options),
        log: (...values: unknown[]) => say("log", ...values),
        finish: async () => say("finish"),
      };
    `,
  });
  assertEquals(output.trimEnd().split("\n"), [
    '["init",{"project":"project","config":{"lr":1}}]',
    '["log",{"loss":2},{"step":3}]',
    '["log",{"loss":4}]',
    '["finish"]',
  ]);
});
