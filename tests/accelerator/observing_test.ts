import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Accelerator, data, type LogRecord, manualSeed, nn, optim, randn } from "../../mod.ts";
import { runCli, ScriptFolder } from "../_support/processes.ts";

const MOD = new URL("../../mod.ts", import.meta.url).href;
const ENV = { ACCELERATE_LIBRARY_DIR: "" };

function inner(logger: { info(message: string): void }): void {
  logger.info("from a function");
}

Deno.test("LG-1 a record has the caller's file, line and function, the rank as prefix, and a level", async () => {
  const records: LogRecord[] = [];
  const accelerator = new Accelerator();
  const logger = accelerator.getLogger("train", { write: (record) => void records.push(record) });
  inner(logger);
  logger.debug("below the level");
  logger.warn("warning");
  logger.warnOnce("once");
  logger.warnOnce("once");
  logger.error("error", { mainProcessOnly: false });
  await logger.info("in order", { inOrder: true });
  assertEquals(records.map(({ level, message }) => [level, message]), [
    ["info", "[RANK 0] from a function"],
    ["warn", "[RANK 0] warning"],
    ["warn", "[RANK 0] once"],
    ["error", "[RANK 0] error"],
    ["info", "[RANK 0] in order"],
  ]);
  const [{ name, rank, site }] = records;
  assertEquals([name, rank, site?.function, site?.file], ["train", 0, "inner", new URL(import.meta.url).pathname]);
  const source = Deno.readTextFileSync(new URL(import.meta.url)).split("\n");
  assertMatch(source[site!.line - 1], /logger\.info\("from a function"\)/);
  logger.level = "debug";
  logger.debug("now");
  assertEquals(records.length, 6);
  assertThrows(
    () => accelerator.getLogger("x", { level: "loud" as never }),
    RangeError,
    "levels are debug, info, warn, error",
  );
});

Deno.test("LG-1 by default the main process logs; all do when asked, one after the other when asked for order", async () => {
  using folder = new ScriptFolder({
    "a.ts": `
      import { Accelerator } from "${MOD}";
      const accelerator = new Accelerator();
      const write = ({ message }) => Deno.writeTextFileSync("log.txt", message + "\\n", { append: true });
      const logger = accelerator.getLogger("train", { write });
      logger.info("main only");
      for (let i = 0; i < 3; i++) await logger.info("ordered " + i, { inOrder: true });
      await accelerator.waitForEveryone();
      logger.info("all", { mainProcessOnly: false });
      accelerator.getLogger("quiet").info("below the level of the variable");
      accelerator.getLogger("loud").error("on stderr");
      await accelerator.end();
    `,
  });
  const { code, stdout, stderr } = await runCli(["launch", "--cpu", "--num-processes", "2", "a.ts"], folder, {
    env: { ...ENV, ACCELERATE_LOG_LEVEL: "error" },
  });
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ERROR loud \[RANK 0\] on stderr \(a\.ts:\d+\)\n$/);
  // The variable silenced everything else.
  assertEquals([stdout, [...Deno.readDirSync(folder.path)].some(({ name }) => name === "log.txt")], ["", false]);
  await runCli(["launch", "--cpu", "--num-processes", "2", "a.ts"], folder, { env: ENV });
  const lines = Deno.readTextFileSync(`${folder.path}/log.txt`).trimEnd().split("\n");
  assertEquals(lines.slice(0, 7), [
    "[RANK 0] main only",
    ...[0, 1, 2].flatMap((i) => [0, 1].map((r) => `[RANK ${r}] ordered ${i}`)),
  ]);
  assertEquals(lines.slice(7).sort(), ["[RANK 0] all", "[RANK 1] all"]);
});

interface TraceEvent {
  ph: string;
  name: string;
  cat?: string;
  pid: number;
  tid?: number;
  ts?: number;
  dur?: number;
  args?: { name: string };
}

Deno.test("profile() writes compute, communication and data time, and leaves everything as it was", async () => {
  const projectDir = Deno.makeTempDirSync({ prefix: "accelerate-profile-" });
  try {
    manualSeed(1);
    const accelerator = new Accelerator({ projectDir: `${projectDir}/new` });
    const model = new nn.Linear(4, 1);
    const optimizer = new optim.SGD(model.parameters());
    const loader = new data.DataLoader(new data.TensorDataset(randn([6, 4])), { batchSize: 2 });
    await accelerator.prepare(model, optimizer, loader);
    const keys = (): unknown[] => [model, optimizer, loader, accelerator].map((object) => Reflect.ownKeys(object));
    const before = keys();
    const result = await accelerator.profile(async () => {
      let steps = 0;
      for await (const [x] of loader) {
        accelerator.backward(model.forward(x).sum());
        optimizer.step();
        steps++;
      }
      return steps;
    });
    assertEquals([result, keys()], [3, before]);
    const { traceEvents } = JSON.parse(Deno.readTextFileSync(`${projectDir}/new/profile.json`)) as {
      traceEvents: TraceEvent[];
    };
    const spans = traceEvents.filter(({ ph }) => ph === "X");
    const count = (name: string, cat: string): number =>
      spans.filter((span) => span.name === name && span.cat === cat).length;
    assertEquals(
      [
        count("next batch", "data"),
        count("forward", "compute"),
        count("backward", "compute"),
        count("step", "compute"),
      ],
      [4, 3, 3, 3],
    );
    assertEquals(spans.length, 13);
    for (const { ts, dur } of spans) assert(ts! >= 0 && dur! >= 0 && dur! < 1e7, `${ts} ${dur}`);
    const failing = accelerator.profile(() => {
      throw new Error("stop");
    });
    assertEquals(await failing.catch((error) => error.message), "stop");
    assertEquals(keys(), before);
  } finally {
    Deno.removeSync(projectDir, { recursive: true });
  }
});

Deno.test("profile() of two ranks has a row for each, with their collectives", async () => {
  using folder = new ScriptFolder();
  folder.add(
    "a.ts",
    `
      import { Accelerator, nn, ones, optim } from "${MOD}";
      const accelerator = new Accelerator();
      const model = new nn.Linear(4, 1);
      const optimizer = new optim.SGD(model.parameters());
      await accelerator.prepare(model, optimizer);
      await accelerator.profile(async () => {
        accelerator.backward(model.forward(ones([1, 4])).sum());
        optimizer.step();
        await accelerator.gather(ones([1]));
      }, { path: "${folder.path}/trace.json" });
      await accelerator.end();
    `,
  );
  const { code, stderr } = await runCli(["launch", "--cpu", "--num-processes", "2", "a.ts"], folder, { env: ENV });
  assertEquals([code, stderr], [0, ""]);
  const { traceEvents } = JSON.parse(Deno.readTextFileSync(`${folder.path}/trace.json`)) as {
    traceEvents: TraceEvent[];
  };
  const names = traceEvents.filter(({ name }) => name === "process_name").map(({ args }) => args!.name);
  assertEquals(names, ["rank 0", "rank 1"]);
  for (const rank of [0, 1]) {
    const of = (cat: string): string[] =>
      traceEvents.filter((event) => event.ph === "X" && event.pid === rank && event.cat === cat).map(({ name }) =>
        name
      );
    assertEquals(of("compute").sort(), ["backward", "forward", "step"]);
    assert(of("communication").includes("allReduce") && of("communication").includes("allGather"));
  }
});
