import { assert, assertEquals, assertMatch } from "@std/assert";
import { runCli, RunningCli, ScriptFolder, waitUntilGone } from "../_support/processes.ts";

/** Rank `Deno.args[0]` does `Deno.args[1]` when all ranks are up; the others run for ever. */
const FAILING = `
const rank = Deno.env.get("RANK");
Deno.writeTextFileSync("up" + rank, "");
const isUp = (index) => { try { return Deno.statSync("up" + index).isFile; } catch { return false; } };
while (!Array.from({ length: Number(Deno.env.get("WORLD_SIZE")) }, (_, i) => i).every(isUp)) {
  await new Promise((resolve) => setTimeout(resolve, 10));
}
console.log("pid", Deno.pid);
if (rank === Deno.args[0]) {
  if (Deno.args[1] === "exit") { console.error("about to fail"); Deno.exit(3); }
  if (Deno.args[1] === "throw") throw new Error("boom");
  Deno.kill(Deno.pid, "SIGKILL");
}
`;

function pids(stdout: string): number[] {
  return [...stdout.matchAll(/pid (\d+)/g)].map((match) => Number(match[1]));
}

Deno.test("the first failure ends busy loops at once; its error and its status come last", async () => {
  using folder = new ScriptFolder({ "a.ts": `${FAILING} for (;;);` });
  const { code, stdout, stderr } = await runCli(["launch", "--num-processes", "3", "a.ts", "1", "exit"], folder);
  assertEquals(code, 3);
  assertMatch(stderr, /\[rank 1\] about to fail\nrank 1 failed with exit code 3\n$/);
  await waitUntilGone(pids(stdout));
});

Deno.test("an uncaught error of rank 0 is repeated after what the others said", async () => {
  using folder = new ScriptFolder({
    "a.ts": `
      if (Deno.env.get("RANK") !== "0") {
        Deno.addSignalListener("SIGTERM", () => { console.error("last words"); Deno.exit(0); });
        setInterval(() => {}, 1000);
      }
      ${FAILING}
    `,
  });
  const { code, stderr } = await runCli(["launch", "--num-processes", "2", "a.ts", "0", "throw"], folder);
  assertEquals(code, 1);
  assertMatch(stderr, /\[rank 1\] last words\n[^]*Error: boom\n[^]*\nrank 0 failed with exit code 1\n$/);
});

Deno.test("death by a signal is named, and its status is 128 and the signal", async () => {
  using folder = new ScriptFolder({ "a.ts": `${FAILING} for (;;);` });
  const { code, stderr } = await runCli(["launch", "--num-processes", "2", "a.ts", "1", "kill"], folder);
  assertEquals(code, 137);
  assertMatch(stderr, /rank 1 was killed by SIGKILL[^\n]*\n$/);
});

Deno.test("who does not follow SIGTERM is killed, and so is what it started", async () => {
  using folder = new ScriptFolder({
    "a.ts": `
      if (Deno.env.get("RANK") === "0") {
        Deno.addSignalListener("SIGTERM", () => console.error("no"));
        const child = new Deno.Command("sleep", { args: ["600"] }).spawn();
        console.log("child pid", child.pid);
        setInterval(() => {}, 1000);
      }
      ${FAILING}
    `,
  });
  const { code, stdout, stderr } = await runCli(["launch", "--num-processes", "2", "a.ts", "1", "exit"], folder);
  assertEquals(code, 3);
  assertMatch(stderr, /rank 1 failed with exit code 3\n$/);
  assertEquals(pids(stdout).length, 3);
  await waitUntilGone(pids(stdout));
});

Deno.test("--quiet adds nothing to what the processes print", async () => {
  using folder = new ScriptFolder({ "a.ts": `${FAILING} for (;;);` });
  const { code, stderr } = await runCli(["launch", "-q", "--num-processes", "2", "a.ts", "1", "exit"], folder);
  assertEquals([code, stderr], [3, "[rank 1] about to fail\n"]);
});

Deno.test("a rank that ends well does not end the others", async () => {
  using folder = new ScriptFolder({
    "a.ts": `
      if (Deno.env.get("RANK") === "0") {
        console.log("first done");
      } else {
        const go = () => { try { return Deno.statSync("go").isFile; } catch { return false; } };
        while (!go()) await new Promise((resolve) => setTimeout(resolve, 10));
        console.log("second done");
      }
    `,
  });
  await using job = new RunningCli(["launch", "--num-processes", "2", "a.ts"], folder);
  await job.waitForOutput(/first done/);
  assert(!job.output.includes("second done"));
  folder.add("go", "");
  assertEquals((await job.status).code, 0);
  await job.waitForOutput(/\[rank 1\] second done/);
});
