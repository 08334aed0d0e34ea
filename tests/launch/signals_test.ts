import { assertEquals } from "@std/assert";
import { processState, RunningCli, ScriptFolder, waitUntil, waitUntilGone } from "../_support/processes.ts";

const BUSY = `console.log("pid", Deno.pid); for (;;);`;

/** Starts a job and returns the ids of its processes once all of them run the script. */
async function start(job: RunningCli, count: number): Promise<number[]> {
  const matches = await job.waitForOutput(/pid (\d+)\n/, count);
  return matches.map((match) => Number(match[1]));
}

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`${signal} ends busy loops`, async () => {
    using folder = new ScriptFolder({ "a.ts": BUSY });
    await using job = new RunningCli(["launch", "--num-processes", "2", "a.ts"], folder);
    const pids = await start(job, 2);
    job.kill(signal);
    assertEquals((await job.status).code, code);
    await waitUntilGone(pids);
  });

  Deno.test(`${signal} reaches every handler once, and the job waits for it`, async () => {
    using folder = new ScriptFolder({
      "a.ts": `
        const timer = setInterval(() => {}, 1000);
        Deno.addSignalListener("${signal}", async () => {
          await new Promise((resolve) => setTimeout(resolve, 100));
          console.log("saved", Deno.env.get("RANK"));
          clearInterval(timer);
          Deno.exit(0);
        });
        console.log("pid", Deno.pid);
      `,
    });
    await using job = new RunningCli(["launch", "--num-processes", "3", "a.ts"], folder);
    await start(job, 3);
    job.kill(signal);
    assertEquals((await job.status).code, code);
    const saved = await job.waitForOutput(/saved (\d)/, 3);
    assertEquals(saved.map((match) => match[1]).sort(), ["0", "1", "2"]);
  });
}

Deno.test("a second signal does not wait for handlers", async () => {
  using folder = new ScriptFolder({
    "a.ts": `
      Deno.addSignalListener("SIGINT", () => console.log("ignored"));
      setInterval(() => {}, 1000);
      console.log("pid", Deno.pid);
    `,
  });
  await using job = new RunningCli(["launch", "--num-processes", "2", "a.ts"], folder);
  const pids = await start(job, 2);
  job.kill("SIGINT");
  await job.waitForOutput(/ignored/, 2);
  job.kill("SIGINT");
  assertEquals((await job.status).code, 130);
  await waitUntilGone(pids);
});

Deno.test("SIGKILL of the launcher leaves no process, not even a busy loop", async () => {
  using folder = new ScriptFolder({ "a.ts": BUSY });
  await using job = new RunningCli(["launch", "--num-processes", "3", "a.ts"], folder);
  const pids = await start(job, 3);
  job.kill("SIGKILL");
  await waitUntilGone([job.pid, ...pids]);
});

Deno.test("a launcher that dies while its processes start leaves none", async () => {
  using folder = new ScriptFolder({ "a.ts": BUSY });
  const isMine = (pid: string): boolean => {
    try {
      return Deno.readTextFileSync(`/proc/${pid}/environ`).includes(`ACCELERATE_LIBRARY_DIR=${folder.path}`);
    } catch {
      return false; // Another user's process, or one that has just ended.
    }
  };
  const mine = (): number[] =>
    [...Deno.readDirSync("/proc")].map(({ name }) => name).filter((name) => /^\d+$/.test(name) && isMine(name))
      .map(Number).filter((pid) => processState(pid) !== undefined);
  for (let round = 0; round < 3; round++) {
    await using job = new RunningCli(["launch", "--num-processes", "2", "a.ts"], folder);
    // As early as a process of the job can be seen: before it has run a line.
    await waitUntil(() => mine().length > 1, () => "the first process of the job");
    job.kill("SIGKILL");
    await job.status;
    await waitUntil(() => mine().length === 0, () => `the end of ${mine().join(", ")}`);
  }
});

Deno.test("Ctrl-Z stops all, and they go on together", async () => {
  using folder = new ScriptFolder({ "a.ts": BUSY });
  await using job = new RunningCli(["launch", "--num-processes", "2", "a.ts"], folder);
  const pids = [job.pid, ...await start(job, 2)];
  job.kill("SIGTSTP");
  await waitUntil(() => pids.every((pid) => processState(pid) === "T"), () => "all to stop");
  job.kill("SIGCONT");
  await waitUntil(() => pids.every((pid) => processState(pid) !== "T"), () => "all to go on");
  job.kill("SIGTERM");
  assertEquals((await job.status).code, 143);
  await waitUntilGone(pids);
});
