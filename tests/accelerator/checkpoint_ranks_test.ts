import { assertEquals, assertMatch } from "@std/assert";
import { runCli, ScriptFolder } from "../_support/processes.ts";

const MOD = new URL("../../mod.ts", import.meta.url).href;
const ENV = { ACCELERATE_LIBRARY_DIR: "" };

const COMMON = `
  import { Accelerator, manualSeed, nn, optim, randn, tensor } from "${MOD}";
  const [mode, directory] = Deno.args;
  const accelerator = new Accelerator();
  const { processIndex: rank, numProcesses: world } = accelerator;
  manualSeed(7);
  const model = new nn.Sequential(new nn.Linear(4, 8), new nn.Tanh(), new nn.Linear(8, 1));
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
  await accelerator.prepare(model, optimizer);
  const step = () => {
    const x = randn([8, 4]);
    optimizer.zeroGrad();
    const own = x.narrow(0, rank * 8 / world, 8 / world);
    accelerator.backward(model.forward(own).pow(2).mean());
    optimizer.step();
  };
  const show = () => JSON.stringify(model.parameters().map((p) => p.toArray()));
  const draw = () => randn([1]).item();
`;

async function run(count: number, script: string, args: string[]): Promise<string[]> {
  using folder = new ScriptFolder({ "a.ts": COMMON + script });
  const launch = ["launch", "--cpu", "--num-processes", String(count), "a.ts", ...args];
  const { code, stdout, stderr } = await runCli(launch, folder, { env: ENV });
  assertEquals([code, stderr], [0, ""]);
  return stdout.trimEnd().split("\n").map((line) => line.replace(/^\[rank \d\] /, ""));
}

const SAVE = `
  for (let i = 0; i < 3; i++) step();
  await accelerator.saveState(directory, { async: mode === "async" });
  for (let i = 0; i < 3; i++) step();
  await accelerator.flush();
  accelerator.print(show());
  accelerator.print(draw());
  await accelerator.end();
`;
const LOAD = `
  step();
  await accelerator.loadState(directory);
  for (let i = 0; i < 3; i++) step();
  accelerator.print(show());
  accelerator.print(draw());
  await accelerator.end();
`;

Deno.test("two ranks save, and one, two and four go on with it", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "accelerate-ranks-" });
  try {
    for (const mode of ["sync", "async"]) {
      const [saved, draw] = await run(2, SAVE, [mode, `${folder}/${mode}`]);
      assertEquals([...Deno.readDirSync(`${folder}/${mode}`)].map(({ name }) => name).sort(), [
        "manifest.json",
        "model.safetensors",
        "optimizer.safetensors",
      ]);
      for (const world of mode === "sync" ? [1, 2, 4] : [2]) {
        const [weights, drawn] = await run(world, LOAD, [mode, `${folder}/${mode}`]);
        assertEquals(drawn, draw);
        const [got, want] = [weights, saved].map((text) => (JSON.parse(text) as number[][]).flat(2));
        assertEquals(got.length, 49);
        // The same sums in another order; bit for bit with as many ranks.
        const bound = world === 2 ? 0 : 1e-6;
        got.forEach((value, i) => assertEquals(Math.abs(value - want[i]) <= bound, true, `${value} ${want[i]}`));
      }
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

// Each rank has gradients of its own, as inside of a window.
const WINDOW = `
  accelerator.gradientAccumulationSteps = 3;
  accelerator.accumulate(model, () => accelerator.backward(model.forward(randn([8, 4])).pow(2).mean()));
  for (const [i, p] of model.parameters().entries()) p.grad.fill_(rank + 1 + 10 * i);
  await accelerator.saveState(directory, { async: mode === "async" });
  await accelerator.end();
`;
const SHOW_WINDOW = `
  await accelerator.loadState(directory);
  console.log(rank, JSON.stringify(model.parameters().map((p) => p.grad.toArray().flat()[0])));
  await accelerator.end();
`;

Deno.test("gradients of an open window come back to each rank; another number of ranks gets their mean", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "accelerate-window-" });
  try {
    for (const mode of ["sync", "async"]) {
      await run(2, WINDOW, [mode, `${folder}/${mode}`]);
      assertEquals([...Deno.readDirSync(`${folder}/${mode}`)].map(({ name }) => name).sort(), [
        "accumulation_0.safetensors",
        "accumulation_1.safetensors",
        "manifest.json",
        "model.safetensors",
      ]);
      const two = await run(2, SHOW_WINDOW, [mode, `${folder}/${mode}`]);
      assertEquals(two.sort(), ["0 [1,11,21,31]", "1 [2,12,22,32]"]);
    }
    assertEquals(await run(1, SHOW_WINDOW, ["sync", `${folder}/sync`]), ["0 [1.5,11.5,21.5,31.5]"]);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("what fails on one rank fails on all, and nothing is changed or left", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "accelerate-fail-" });
  try {
    const lines = await run(
      2,
      `
      const object = { value: 5, stateDict: () => ({ value: object.value }), loadStateDict: ({ value }) => {
        object.value = value;
        if (rank === 1 && value === 5) throw new Error("not me");
      } };
      accelerator.registerForCheckpointing(object);
      await accelerator.saveState(directory);
      object.value = 1;
      const before = show();
      step();
      const trained = show();
      const message = await accelerator.loadState(directory).catch((error) => error.name + " " + error.message);
      console.log(rank, message, show() === trained && object.value === 1, show() !== before);
      const hook = accelerator.registerSaveStatePreHook(() => { if (rank === 1) throw new Error("no hook"); });
      const save = await accelerator.saveState(directory + "2").catch((error) => error.message);
      console.log(rank, save);
      hook.remove();
      await accelerator.waitForEveryone();
      await accelerator.end();
    `,
      ["sync", `${folder}/a`],
    );
    lines.sort();
    assertMatch(lines[1], /^0 CheckpointError Cannot load .*: rank 1 failed: .*not me true true$/);
    assertMatch(lines[0], /^0 Cannot save .*: rank 1 failed: no hook$/);
    assertMatch(lines[2], /^1 CheckpointError Cannot load .*field "custom.0": not me true true$/);
    assertMatch(lines[3], /^1 no hook$/);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["a"]);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
