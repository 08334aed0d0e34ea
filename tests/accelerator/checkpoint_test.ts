import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import {
  Accelerator,
  GradScaler,
  type GradScalerState,
  manualSeed,
  nn,
  noGrad,
  optim,
  randn,
  type Tensor,
  tensor,
} from "../../mod.ts";
import { failure, Folder, numbered, Run } from "../_support/checkpoints.ts";
import { Tied } from "../_support/tied.ts";

for (const inBackground of [false, true]) {
  Deno.test(`CK-1 three epochs equal two, a save, a load and one more, bit for bit (async ${inBackground})`, async () => {
    using folder = new Folder();
    manualSeed(5);
    const straight = await Run.start();
    await straight.accelerator.saveState(`${folder.path}/initial`);
    const losses = [...straight.epoch(), ...straight.epoch(), ...straight.epoch()];
    const draw = randn([3]).toArray();

    manualSeed(99);
    const second = await Run.start();
    second.epoch();
    await second.accelerator.loadState(`${folder.path}/initial`);
    const repeated = [...second.epoch(), ...second.epoch()];
    await second.accelerator.saveState(`${folder.path}/after`, { async: inBackground });
    // What comes after a save in the background must not reach what is written.
    second.epoch();
    await second.accelerator.flush();

    manualSeed(123);
    const third = await Run.start();
    assertNotEquals(third.state(), straight.state());
    await third.accelerator.loadState(`${folder.path}/after`);
    repeated.push(...third.epoch());
    assertEquals(repeated, losses);
    assertEquals(third.state(), straight.state());
    assertEquals(randn([3]).toArray(), draw);
    for (const { accelerator } of [straight, second, third]) await accelerator.end();
  });
}

Deno.test("CK-2 numbered checkpoints: the newest totalLimit are left, loadState() takes the last, projectDir may be relative", async () => {
  using folder = new Folder();
  const before = Deno.cwd();
  try {
    Deno.chdir(folder.path);
    const run = await Run.start(numbered("run", 2));
    for (let i = 0; i < 11; i++) await run.accelerator.saveState(undefined, { async: i % 2 === 1 });
    await run.accelerator.flush();
    assertEquals(folder.list("run/checkpoints"), ["checkpoint_10", "checkpoint_9"]);
    assertEquals(await run.accelerator.loadState(), "run/checkpoints/checkpoint_10");
    assertEquals(run.accelerator.saveIteration, 11);
    const one = await Run.start(numbered("run", 1));
    await one.accelerator.saveState();
    assertEquals(folder.list("run/checkpoints"), ["checkpoint_11"]);
  } finally {
    Deno.chdir(before);
  }
});

Deno.test("CK-3 B9 a restart numbers on, and the limit removes the oldest", async () => {
  using folder = new Folder();
  const first = await Run.start(numbered(folder.path, 2));
  for (let i = 0; i < 4; i++) await first.accelerator.saveState();
  assertEquals(folder.list("checkpoints"), ["checkpoint_2", "checkpoint_3"]);
  const restarted = await Run.start(numbered(folder.path, 2));
  for (let i = 0; i < 3; i++) await restarted.accelerator.saveState();
  assertEquals(folder.list("checkpoints"), ["checkpoint_5", "checkpoint_6"]);
});

Deno.test("CK-3 B10 partial and stray directories are ignored, and not removed", async () => {
  using folder = new Folder();
  const run = await Run.start(numbered(folder.path, 1));
  await run.accelerator.saveState();
  const checkpoints = `${folder.path}/checkpoints`;
  // Of another tool, empty, without its files, truncated, and a file.
  for (const name of ["best", "checkpoint_7", "checkpoint_8", "checkpoint_9", "checkpoint_x"]) {
    await Deno.mkdir(`${checkpoints}/${name}`);
  }
  await Deno.copyFile(`${checkpoints}/checkpoint_0/manifest.json`, `${checkpoints}/checkpoint_8/manifest.json`);
  await Deno.writeTextFile(`${checkpoints}/checkpoint_9/manifest.json`, "{");
  await Deno.writeTextFile(`${checkpoints}/notes.txt`, "mine");
  assertEquals(await run.accelerator.loadState(), `${checkpoints}/checkpoint_0`);
  await run.accelerator.saveState();
  assertEquals(folder.list("checkpoints"), [
    "best",
    "checkpoint_10",
    "checkpoint_7",
    "checkpoint_8",
    "checkpoint_9",
    "checkpoint_x",
    "notes.txt",
  ]);
  assertEquals(await run.accelerator.latestCheckpoint(), `${checkpoints}/checkpoint_10`);
});

Deno.test("what processes that have ended left half written or half removed is cleaned up, that of running ones is not", async () => {
  using folder = new Folder();
  const run = await Run.start(numbered(folder.path));
  const host = Deno.hostname();
  // A process that has ended has a number that is free again: the one after the largest.
  const dead = Number(Deno.readTextFileSync("/proc/sys/kernel/pid_max")) + 1;
  const names = [
    `.checkpoint_3.${host}.${dead}.writing`,
    `.checkpoint_2.${host}.${dead}.removing`,
    `.checkpoint_4.${host}.1.writing`,
    `.checkpoint_4.elsewhere.${dead}.writing`,
    `.other.${host}.${dead}.writing`,
  ];
  for (const name of names) await Deno.mkdir(`${folder.path}/checkpoints/${name}`, { recursive: true });
  await run.accelerator.saveState();
  assertEquals(folder.list("checkpoints"), [...names.slice(2), "checkpoint_0"].sort());
});

Deno.test("CK-3 a directory is reused only when asked, and only when it holds a checkpoint", async () => {
  using folder = new Folder();
  const run = await Run.start();
  const directory = `${folder.path}/mine`;
  await run.accelerator.saveState(directory);
  run.step();
  const error = await failure(run.accelerator.saveState(directory));
  assertEquals(error.path, directory);
  assertMatch(error.message, /holds a checkpoint already\. Choose another directory, or pass \{ overwrite: true \}/);
  await run.accelerator.saveState(directory, { overwrite: true });
  const state = run.state();
  run.step();
  await run.accelerator.loadState(directory);
  assertEquals(run.state(), state);
  await Deno.mkdir(`${folder.path}/photos`);
  await Deno.writeTextFile(`${folder.path}/photos/cat.jpg`, "meow");
  assertMatch(
    (await failure(run.accelerator.saveState(`${folder.path}/photos`, { overwrite: true }))).message,
    /files that are no checkpoint/,
  );
  assertEquals(folder.list(), ["mine", "photos"]);
});

Deno.test("a save that ended between the two names of an overwrite leaves the old checkpoint loadable", async () => {
  using folder = new Folder();
  const run = await Run.start();
  const directory = `${folder.path}/mine`;
  await run.accelerator.saveState(directory);
  const state = run.state();
  run.step();
  await Deno.rename(directory, `${folder.path}/.mine.replaced`);
  await run.accelerator.loadState(directory);
  assertEquals(run.state(), state);
  await run.accelerator.saveState(directory);
  assertEquals(folder.list(), ["mine"]);
});

Deno.test("CK-4 registerForCheckpointing refuses what has no state, by its place; a wrong number is an error on load", async () => {
  using folder = new Folder();
  const model = new nn.Linear(1, 1);
  const optimizer = new optim.SGD(model.parameters());
  const run = await Run.start();
  const error = assertThrows(
    () => run.accelerator.registerForCheckpointing(tensor([1]), tensor([2]), model, optimizer),
    TypeError,
  );
  assertMatch(error.message, /these do not: 0 \(Tensor\), 1 \(Tensor\)$/);
  run.accelerator.registerForCheckpointing(model, optimizer);
  await run.accelerator.saveState(`${folder.path}/a`);
  const other = await Run.start();
  other.accelerator.registerForCheckpointing(new nn.Linear(1, 1));
  const wrong = await failure(other.accelerator.loadState(`${folder.path}/a`));
  assertEquals(wrong.path, `${folder.path}/a/manifest.json`);
  assertMatch(wrong.message, /field "custom": found 2 in the checkpoint, but registered 1/);
});

Deno.test("CK-5 the state of a schedule comes back", async () => {
  using folder = new Folder();
  const run = await Run.start();
  run.step();
  await run.accelerator.saveState(`${folder.path}/a`);
  const saved = run.scheduler.stateDict();
  run.epoch();
  assertNotEquals(run.scheduler.stateDict(), saved);
  await run.accelerator.loadState(`${folder.path}/a`);
  assertEquals(run.scheduler.stateDict(), saved);
  assertEquals(run.optimizer.paramGroups[0].lr, run.scheduler.getLastLr()[0]);
});

Deno.test("CK-6 hooks run before saving and loading, may add files and take models over, and end with remove()", async () => {
  using folder = new Folder();
  const run = await Run.start();
  const calls: string[] = [];
  const saving = run.accelerator.registerSaveStatePreHook((models, directory) => {
    calls.push(`save ${models.length}`);
    Deno.mkdirSync(`${directory}/extra`);
    Deno.writeTextFileSync(`${directory}/extra/config.json`, "{}");
  });
  const loading = run.accelerator.registerLoadStatePreHook((models, directory) => {
    calls.push(`load ${models.length} ${Deno.readTextFileSync(`${directory}/extra/config.json`)}`);
  });
  for (const inBackground of [false, true]) {
    const directory = `${folder.path}/${inBackground}`;
    await run.accelerator.saveState(directory, { async: inBackground });
    await run.accelerator.loadState(directory);
    const { files } = JSON.parse(Deno.readTextFileSync(`${directory}/manifest.json`));
    assertEquals(files["extra/config.json"].bytes, 2);
  }
  assertEquals(calls, ["save 1", "load 1 {}", "save 1", "load 1 {}"]);
  saving.remove();
  loading.remove();
  const take = run.accelerator.registerSaveStatePreHook((models) => void models.pop());
  await run.accelerator.saveState(`${folder.path}/c`);
  take.remove();
  assertEquals([calls.length, folder.list("c")], [4, ["manifest.json"]]);
  assertMatch(
    (await failure(run.accelerator.loadState(`${folder.path}/c`))).message,
    /field "models": found 0 in the checkpoint, but prepared 1/,
  );
});

Deno.test("CK-7 the files of two models, two optimizers, a schedule and a custom object; tied weights are stored once and stay tied", async () => {
  using folder = new Folder();
  const accelerator = new Accelerator();
  const models = [new Tied(), new nn.Linear(2, 2)];
  const optimizers = models.map((model) => new optim.AdamW(model.parameters()));
  const scheduler = new optim.lrScheduler.StepLR(optimizers[0], { stepSize: 1 });
  const custom = { seen: tensor([1, 2]), stateDict: () => ({ seen: custom.seen }), loadStateDict: () => {} };
  await accelerator.prepare(...models, ...optimizers, scheduler);
  accelerator.registerForCheckpointing(custom);
  accelerator.backward(
    models[0].forward(tensor([1], { dtype: "int64" })).sum().add(models[1].forward(randn([1, 2])).sum()),
  );
  for (const optimizer of optimizers) optimizer.step();
  await accelerator.saveState(`${folder.path}/a`);
  assertEquals(folder.list("a"), [
    "custom_checkpoint_0.safetensors",
    "manifest.json",
    "model.safetensors",
    "model_1.safetensors",
    "optimizer.safetensors",
    "optimizer_1.safetensors",
  ]);
  const { size } = await Deno.stat(`${folder.path}/a/model.safetensors`);
  assert(size < 5 * 3 * 4 * 2 + 200, `stored twice: ${size} bytes`);
  const tied = models[0] as Tied;
  const before = tied.embedding.weight.toArray();
  noGrad(() => tied.embedding.weight.zero_());
  await accelerator.loadState(`${folder.path}/a`);
  assertEquals(tied.head.weight, tied.embedding.weight);
  assertEquals(tied.head.weight.toArray(), before);
});

Deno.test("CK-9 a missing directory, or none, is a CheckpointError that says what to do", async () => {
  using folder = new Folder();
  const run = await Run.start();
  const missing = await failure(run.accelerator.loadState(`${folder.path}/nothing`));
  assertEquals(missing.path, `${folder.path}/nothing`);
  assertMatch(missing.message, /the directory does not exist/);
  for (const call of [() => run.accelerator.loadState(), () => run.accelerator.saveState()]) {
    assertMatch((await failure(call())).message, /without a directory: pass one, or set projectDir/);
  }
  const named = await Run.start(numbered(folder.path));
  assertMatch((await failure(named.accelerator.loadState())).message, /holds no complete checkpoint/);
  assertEquals(await named.accelerator.latestCheckpoint(), null);
});

Deno.test("CK-10 accuracy, learning rates and epoch after a resumed epoch equal those that were noted", async () => {
  using folder = new Folder();
  manualSeed(3);
  const counter = {
    epoch: 0,
    stateDict: () => ({ epoch: counter.epoch }),
    loadStateDict: ({ epoch }: { epoch: number }) => void (counter.epoch = epoch),
  };
  const run = await Run.start(numbered(folder.path));
  run.accelerator.registerForCheckpointing(counter);
  const note = (): unknown => {
    const loss = run.epoch().at(-1);
    counter.epoch++;
    return { loss, lr: run.scheduler.getLastLr(), optimizerLr: run.optimizer.paramGroups[0].lr, epoch: counter.epoch };
  };
  const notes: unknown[] = [];
  for (let epoch = 0; epoch < 4; epoch++) {
    await run.accelerator.saveState();
    notes.push(note());
  }
  for (const from of [2, 0, 3]) {
    await run.accelerator.loadState(`${folder.path}/checkpoints/checkpoint_${from}`);
    assertEquals(counter.epoch, from);
    assertEquals(Array.from({ length: 4 - from }, note), notes.slice(from));
  }
});

Deno.test("gradients that wait for a step are part of the state; those that a step has used are not", async () => {
  using folder = new Folder();
  manualSeed(8);
  const run = await Run.start();
  const micro = (): void => run.accelerator.backward(run.model.forward(randn([5, 4])).pow(2).mean());
  run.step();
  await run.accelerator.saveState(`${folder.path}/between`);
  assertEquals(folder.list("between").includes("accumulation_0.safetensors"), false);
  run.optimizer.zeroGrad();
  micro();
  micro();
  await run.accelerator.saveState(`${folder.path}/inside`);
  assertEquals(folder.list("inside").includes("accumulation_0.safetensors"), true);
  micro();
  run.optimizer.step();
  const want = run.state();

  const resumed = await Run.start();
  resumed.step();
  await resumed.accelerator.loadState(`${folder.path}/inside`);
  resumed.accelerator.backward(resumed.model.forward(randn([5, 4])).pow(2).mean());
  resumed.optimizer.step();
  assertEquals(resumed.state(), want);
  // Also: gradients of before the load are forgotten.
  await resumed.accelerator.loadState(`${folder.path}/between`);
  assert(resumed.model.parameters().every(({ grad }) => grad === null));
});

Deno.test("custom objects: plain values, typed arrays and tensors come back; what no file holds is named by its path", async () => {
  using folder = new Folder();
  const accelerator = new Accelerator();
  const state = {
    numbers: [NaN, -Infinity, -0, 1e-320],
    big: 2n ** 70n,
    words: new Uint32Array([1, 2 ** 32 - 1]),
    nothing: [undefined, null],
    $odd: { $tensor: "not one" },
    deep: { list: [{ weights: tensor([[1.5, 2.5]]) }, tensor(3, { dtype: "int64" })] },
  };
  const plain = ({ deep: { list: [first, second] }, ...rest }: typeof state): unknown => [
    rest,
    (first as { weights: Tensor }).weights.toArray(),
    (second as Tensor).item(),
  ];
  let loaded: unknown;
  accelerator.registerForCheckpointing({
    stateDict: () => state,
    loadStateDict: (value: typeof state) => void (loaded = plain(value)),
  });
  await accelerator.saveState(`${folder.path}/a`);
  await accelerator.loadState(`${folder.path}/a`);
  assertEquals(loaded, plain(state));
  assert(Object.is((loaded as [typeof state])[0].numbers[2], -0));

  const other = new Accelerator();
  other.registerForCheckpointing({ stateDict: () => ({ a: [1, { fn: () => 1 }] }), loadStateDict: () => {} });
  const error = await failure(other.saveState(`${folder.path}/b`));
  assertMatch(
    error.message,
    /Cannot save custom_checkpoint 0: in its state a\.1\.fn is a function, which no file holds/,
  );
  assertEquals(folder.list(), ["a"]);
});

Deno.test("the loss scaler is saved in its place", async () => {
  using folder = new Folder();
  const run = await Run.start();
  const { registry } = run.accelerator.parts;
  const scaler = registry.scaler = new GradScaler({ initScale: 1024 });
  await run.accelerator.saveState(`${folder.path}/a`);
  scaler.loadStateDict({ ...scaler.stateDict() as GradScalerState, scale: 2 });
  await run.accelerator.loadState(`${folder.path}/a`);
  assertEquals(scaler.getScale(), 1024);
  const without = await Run.start();
  assertMatch((await failure(without.accelerator.loadState(`${folder.path}/a`))).message, /field "scaler": found 1/);
});
