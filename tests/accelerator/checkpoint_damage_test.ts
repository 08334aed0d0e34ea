import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import {
  Accelerator,
  type CheckpointError,
  memoryStats,
  nn,
  noGrad,
  optim,
  randn,
  type Tensor,
  tensor,
} from "../../mod.ts";
import { failure, Folder, Run } from "../_support/checkpoints.ts";
import { collectGarbage } from "../_support/garbage.ts";

Deno.test("a load that fails changes nothing: damage, other shapes, an object that refuses", async () => {
  using folder = new Folder();
  const run = await Run.start();
  const refusing = {
    value: 1,
    stateDict: () => ({ value: refusing.value }),
    loadStateDict: (s: { value: number }) => {
      refusing.value = s.value;
      if (s.value === 666) throw new Error("I refuse 666");
    },
  };
  const first = {
    value: 10,
    stateDict: () => ({ value: tensor(first.value) }),
    loadStateDict: (s: { value: Tensor }) => void (first.value = s.value.item()),
  };
  run.accelerator.registerForCheckpointing(first, refusing);
  run.step();
  refusing.value = 666;
  first.value = 20;
  await run.accelerator.saveState(`${folder.path}/a`);
  run.step();
  [refusing.value, first.value] = [1, 10];
  const before = [run.state(), refusing.value, first.value];
  const draw = (): unknown => randn([2]).toArray();
  const unchanged = async (directory: string): Promise<CheckpointError> => {
    const error = await failure(run.accelerator.loadState(directory));
    assertEquals([run.state(), refusing.value, first.value], before);
    return error;
  };
  assertMatch((await unchanged(`${folder.path}/a`)).message, /field "custom\.1": I refuse 666/);

  const files = folder.list("a");
  for (const name of files) {
    const path = `${folder.path}/a/${name}`;
    const whole = await Deno.readFile(path);
    // A byte of the contents, the end, and the file itself.
    const damage: [string, () => Promise<void>][] = [
      ["changed", () => Deno.writeFile(path, whole.with(whole.length - 5, whole[whole.length - 5] ^ 1))],
      ["truncated", () => Deno.writeFile(path, whole.subarray(0, whole.length - 1))],
      ["missing", () => Deno.remove(path)],
    ];
    for (const [what, act] of damage) {
      await act();
      const error = await unchanged(`${folder.path}/a`);
      assertEquals(error.path, path, what);
      assert(error.message.startsWith(`Cannot load ${path}: `), error.message);
      await Deno.writeFile(path, whole);
    }
  }
  assertNotEquals(draw(), draw());

  const accelerator = new Accelerator();
  const wider = new nn.Sequential(new nn.Linear(4, 9), new nn.BatchNorm1d(9), new nn.ReLU(), new nn.Linear(9, 1));
  const optimizer = new optim.AdamW(wider.parameters());
  const scheduler = new optim.lrScheduler.StepLR(optimizer, { stepSize: 1 });
  await accelerator.prepare(wider, optimizer, scheduler);
  accelerator.registerForCheckpointing(first, { stateDict: () => 1, loadStateDict: () => {} });
  const weights = wider.parameters()[0].toArray();
  const error = await failure(accelerator.loadState(`${folder.path}/a`));
  assertEquals(error.path, `${folder.path}/a/model.safetensors`);
  assertMatch(error.message, /tensor "0\.weight" must have the shape \(9, 4\), got \(8, 4\)/);
  assertEquals([wider.parameters()[0].toArray(), first.value], [weights, 10]);
});

Deno.test("every changed byte of a manifest is found", async () => {
  using folder = new Folder();
  const accelerator = new Accelerator();
  await accelerator.saveState(`${folder.path}/a`);
  const path = `${folder.path}/a/manifest.json`;
  const whole = await Deno.readFile(path);
  // Blanks between words may be others; all else must be as it was.
  const bytes = Array.from(whole.keys()).filter((i) => whole[i] > 0x20);
  assert(bytes.length > 200);
  for (const i of bytes) {
    await Deno.writeFile(path, whole.with(i, whole[i] ^ 1));
    assertEquals((await failure(accelerator.loadState(`${folder.path}/a`))).path, path, `byte ${i}`);
  }
});

Deno.test("errors of a save in the background come with flush(), with end() and with the next save, once", async () => {
  using folder = new Folder();
  const run = await Run.start();
  const breakIt = async (): Promise<void> => {
    const directory = `${folder.path}/broken`;
    // The hook puts a directory where the file of the model must go.
    const hook = run.accelerator.registerSaveStatePreHook((_, temporary) =>
      Deno.mkdirSync(`${temporary}/model.safetensors`)
    );
    await run.accelerator.saveState(directory, { async: true });
    hook.remove();
  };
  const message = /Cannot save .*broken: .*[Dd]irectory/;
  await breakIt();
  assertMatch((await failure(run.accelerator.flush())).message, message);
  await run.accelerator.flush();
  await breakIt();
  assertMatch((await failure(run.accelerator.saveState(`${folder.path}/next`))).message, message);
  await run.accelerator.saveState(`${folder.path}/next`);
  await breakIt();
  assertMatch((await failure(run.accelerator.end())).message, message);
  assertEquals(folder.list(), ["next"]);
  await run.accelerator.end();
});

Deno.test("saving and loading hold no memory", async () => {
  using folder = new Folder();
  const run = await Run.start();
  run.step();
  const cycle = async (): Promise<number> => {
    run.step();
    await run.accelerator.saveState(`${folder.path}/a`, { overwrite: true, async: true });
    await run.accelerator.loadState(`${folder.path}/a`);
    run.optimizer.zeroGrad();
    return memoryStats().liveBytes;
  };
  await cycle();
  await collectGarbage();
  const before = memoryStats().liveStorages;
  for (let i = 0; i < 5; i++) await cycle();
  await collectGarbage();
  assertEquals(memoryStats().liveStorages, before);
});

Deno.test("large tensors too are copied when a save in the background begins, and read back as they were", async () => {
  using folder = new Folder();
  const accelerator = new Accelerator();
  // Both sides of the size from which tensors are parts of their own, contiguous or not, and of every width.
  const state = {
    large: randn([300, 200]),
    turned: randn([300, 200]).transpose(0, 1),
    wide: randn([9000]).to({ dtype: "float64" }),
    narrow: randn([70000]).to({ dtype: "bfloat16" }),
    small: randn([3]),
  };
  const before = Object.values(state).map((value) => value.toArray());
  const loaded: unknown[] = [];
  accelerator.registerForCheckpointing({
    stateDict: () => state,
    loadStateDict: (saved: typeof state) => void loaded.push(...Object.values(saved).map((value) => value.toArray())),
  });
  await accelerator.saveState(`${folder.path}/a`, { async: true });
  noGrad(() => Object.values(state).forEach((value) => value.zero_()));
  // Memory that is freed and taken again must not be that of the copies.
  for (let i = 0; i < 20; i++) randn([300, 200]).dispose();
  await accelerator.flush();
  await accelerator.loadState(`${folder.path}/a`);
  assertEquals(loaded, before);
});
