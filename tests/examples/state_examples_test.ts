import { assert, assertEquals, assertMatch } from "@std/assert";
import { runCli, ScriptFolder } from "../_support/processes.ts";

const EXAMPLES = new URL("../../examples/", import.meta.url).pathname;
const LAUNCH = ["launch", "--cpu", "--num-processes", "2"];
const ENV = { ACCELERATE_LIBRARY_DIR: "" };

Deno.test("examples/checkpoint_and_resume.ts goes on where it was on two ranks", async () => {
  using folder = new ScriptFolder();
  const run = (epochs: string) =>
    runCli([...LAUNCH, `${EXAMPLES}checkpoint_and_resume.ts`, "--dir", "run", "--epochs", epochs], folder, {
      env: ENV,
    });
  const first = await run("2");
  assertEquals([first.code, first.stderr], [0, ""]);
  assertMatch(first.stdout, /^epoch 1: 8 batches, .*\nepoch 2: 16 batches, .*\n$/);
  const second = await run("4");
  assertEquals([second.code, second.stderr], [0, ""]);
  assertMatch(
    second.stdout,
    /^resumed from run\/checkpoints\/checkpoint_0 after 10 batches\nepoch 2: 16 batches.*\nepoch 3: 24 .*\nepoch 4: 32 .*\n$/,
  );
  const all = await run("4");
  assertEquals([all.code, all.stderr], [0, ""]);
  assertEquals([...Deno.readDirSync(`${folder.path}/run/checkpoints`)].length, 2);
});

Deno.test("examples/tracking.ts writes falling losses, event files and a profile on two ranks", async () => {
  using folder = new ScriptFolder();
  const { code, stdout, stderr } = await runCli([...LAUNCH, `${EXAMPLES}tracking.ts`, "--dir", "run"], folder, {
    env: ENV,
  });
  assertEquals([code, stdout], [0, ""]);
  for (const epoch of [1, 2, 3]) {
    assertMatch(stderr, new RegExp(`INFO tracking \\[RANK 0\\] epoch ${epoch} of 3 \\(tracking\\.ts:\\d+\\)`));
    for (const rank of [0, 1]) assertMatch(stderr, new RegExp(`\\[RANK ${rank}\\] is at step ${epoch * 4} `));
  }
  const lines = Deno.readTextFileSync(`${folder.path}/run/regression/metrics.jsonl`).trimEnd().split("\n");
  const losses = lines.slice(1).map((line) => JSON.parse(line).values.train.loss);
  assertEquals([lines.length, losses.length], [13, 12]);
  assert(losses[11] < losses[0]);
  const files = [...Deno.readDirSync(`${folder.path}/run/regression`)].map(({ name }) => name);
  assertEquals(files.filter((name) => name.startsWith("events.out.tfevents.")).length, 1);
  const { traceEvents } = JSON.parse(Deno.readTextFileSync(`${folder.path}/run/profile.json`));
  assertEquals(new Set(traceEvents.map(({ pid }: { pid: number }) => pid)), new Set([0, 1]));
});
