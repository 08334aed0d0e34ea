import { assertEquals, assertMatch } from "@std/assert";
import { difference, possibleStops } from "../../src/launch/verify_resume.ts";
import { runCli, ScriptFolder } from "../_support/processes.ts";

const MOD = new URL("../../mod.ts", import.meta.url).href;
const EXAMPLE = new URL("../../examples/checkpoint_and_resume.ts", import.meta.url).pathname;
const ENV = { ACCELERATE_LIBRARY_DIR: "" };

/** A script that resumes as it should, but for what a test changes. */
const script = (changes: { setup?: string; loss?: string; resume?: string; options?: string } = {}): string => `
  import { Accelerator, data, manualSeed, nn, optim, randn } from "${MOD}";
  const accelerator = new Accelerator({ projectDir: "unused", ${
  changes.options ?? "project: { automaticCheckpointNaming: true }"
} });
  manualSeed(0);
  const model = new nn.Linear(3, 1);
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
  const scheduler = new optim.lrScheduler.StepLR(optimizer, { stepSize: 2, gamma: 0.5 });
  const loader = new data.DataLoader(new data.TensorDataset(randn([12, 3])), { batchSize: 2, shuffle: true });
  ${changes.setup ?? "await accelerator.prepare(model, optimizer, scheduler, loader);"}
  if (await accelerator.latestCheckpoint() !== null) ${changes.resume ?? "await accelerator.loadState();"}
  while (loader.epoch < 2) {
    for await (const [x] of loader) {
      optimizer.zeroGrad();
      accelerator.backward(model.forward(x).pow(2).mean()${changes.loss ?? ""});
      optimizer.step();
      scheduler.step();
    }
  }
  await accelerator.end();
`;

async function verify(source: string, args: string[] = []): Promise<{ code: number; stdout: string; stderr: string }> {
  using folder = new ScriptFolder({ "a.ts": source });
  return await runCli(["verify-resume", "--cpu", ...args, "a.ts"], folder, { env: ENV });
}

Deno.test("verify-resume proves that the example resumes exactly: two ranks, in the middle of an epoch and of a window", async () => {
  using folder = new ScriptFolder();
  const args = ["verify-resume", "--cpu", "--num-processes", "2", EXAMPLE, "--epochs", "3"];
  const { code, stdout, stderr } = await runCli(args, folder, { env: ENV });
  assertEquals([code, stderr], [0, ""]);
  const [whole, stopped, resumed] = stdout.split("\n");
  assertEquals(whole, "uninterrupted: 24 backward passes and 12 steps in 2 processes");
  const match =
    /^stopped: after backward pass (\d+) of 24, in the middle of an epoch, in the middle of an accumulation window/
      .exec(stopped);
  const left = 24 - Number(match?.[1]);
  assertEquals(
    resumed.slice(0, resumed.indexOf(" steps")),
    `resumed: ${left} losses, ${left} batches and ${Math.ceil(left / 2)}`,
  );
});

Deno.test("verify-resume stops where it is told, also at the end of an epoch", async () => {
  for (const stop of ["6", "7"]) {
    const { code, stdout, stderr } = await verify(script(), ["--stop-at", stop]);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(
      stdout,
      new RegExp(
        `stopped: after backward pass ${stop} of 12, ${stop === "6" ? "at the end" : "in the middle"} of an epoch`,
      ),
    );
  }
  const { code, stderr } = await verify(script(), ["--stop-at", "12"]);
  assertEquals([code, stderr], [2, "error: --stop-at must be from 1 to 11, got 12\n"]);
});

Deno.test("verify-resume finds what a script forgets, and what is random in it", async () => {
  const forgotten = await verify(script({ setup: "await accelerator.prepare(model, optimizer, loader);" }), [
    "--stop-at",
    "3",
  ]);
  assertEquals(forgotten.code, 1);
  assertMatch(
    forgotten.stderr,
    /^not identical: rank 0, after the resume: (\d+ backward passes later the uninterrupted run has loss|at the end)/,
  );

  const ignored = await verify(script({ resume: "{}" }), ["--stop-at", "3"]);
  assertEquals(ignored.code, 1);
  assertMatch(
    ignored.stderr,
    /0 backward passes later the uninterrupted run has batch \w+ of loader 0, this one batch \w+ of loader 0/,
  );

  const random = await verify(script({ loss: ".mul(Math.random())" }));
  assertEquals(random.code, 1);
  assertMatch(random.stderr, /two runs of the script differ even without a stop: .*Seed everything that is random/);

  const unnamed = await verify(script({ options: "" }));
  assertEquals(unnamed.code, 1);
  assertMatch(unnamed.stderr, /could not be stopped[\s\S]*it must set project\.automaticCheckpointNaming/);

  const failing = await verify(`throw new Error("broken script");`);
  assertEquals(failing.code, 1);
  assertMatch(failing.stderr, /did not come to its accelerator\.end\(\)[\s\S]*broken script/);
});

Deno.test("a run can be stopped where its loader is asked for more, but not after the last backward pass", () => {
  const window = [["batch", 0, "a"], ["loss", "1"], ["batch", 0, "b"], ["loss", "2"], ["step", 0]] as const;
  const evaluation = [["batch", 1, "e"], ["epoch", 1]] as const;
  assertEquals(possibleStops([...window, ["epoch", 0], ...evaluation, ...window, ["epoch", 0]]), [
    { step: 1, isInEpoch: true, isInWindow: true },
    { step: 2, isInEpoch: false, isInWindow: false },
    { step: 3, isInEpoch: true, isInWindow: true },
  ]);
  assertEquals(possibleStops([]), []);
});

Deno.test("the first difference between two runs is described", () => {
  const run = [["batch", 0, "a"], ["loss", "1"], ["step", 0], ["end", { weights: ["x"], schedules: ["y"] }]] as const;
  assertEquals(difference(run, run), undefined);
  assertMatch(difference(run, run.slice(0, 3))!, /1 backward passes later .* has the end of the run, this one nothing/);
  assertMatch(
    difference(run, [...run.slice(0, 1), ["loss", "2"]])!,
    /0 backward passes later .* has loss 1, this one loss 2/,
  );
  assertEquals(
    difference(run, [...run.slice(0, 3), ["end", { weights: ["z"], schedules: ["y"] }]]),
    "at the end weights differ",
  );
});
