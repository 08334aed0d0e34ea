import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { processState, runCli, RunningCli, ScriptFolder, waitUntilGone } from "../_support/processes.ts";

const ROOT = new URL("../../", import.meta.url);

/** Serves the working tree, as a package registry or a code host would. */
function serve(): { url: string; stop: () => Promise<void> } {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname } = new URL(request.url);
    try {
      const type = pathname.endsWith(".json") ? "application/json" : "application/typescript";
      return new Response(await Deno.readFile(new URL(`.${pathname}`, ROOT)), { headers: { "content-type": type } });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return new Response(null, { status: 404 });
    }
  });
  return { url: `http://127.0.0.1:${server.addr.port}`, stop: () => server.shutdown() };
}

/** A fresh cache for remote modules that shares the npm packages of the real one, so that no registry is asked. */
async function freshCache(folder: ScriptFolder): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(stdout)) as { npmCache: string };
  const cache = `${folder.path}/cache`;
  await Deno.mkdir(cache);
  await Deno.symlink(npmCache, `${cache}/npm`);
  return cache;
}

Deno.test("the command line works from a URL: launch, guard and script", async () => {
  using folder = new ScriptFolder({
    "a.ts": `
      console.log("pid", Deno.pid, import.meta.main, Deno.args.join());
      if (Deno.env.get("RANK") === "1") for (;;);
      setInterval(() => {}, 1000);
    `,
    "b.ts": `console.log("rank", Deno.env.get("RANK"));`,
  });
  const server = serve();
  try {
    const options = { cli: `${server.url}/cli.ts`, env: { DENO_DIR: await freshCache(folder) } };
    const help = await runCli(["launch", "--help"], folder, options);
    assertEquals(help.code, 0, help.stderr);
    assertMatch(help.stdout, /--num-processes N/);

    const done = await runCli(["launch", "--num-processes", "2", "b.ts"], folder, options);
    assertEquals(done.code, 0, done.stderr);
    assertStringIncludes(done.stdout, "[rank 1] rank 1\n");

    const config = await runCli(["launch", "--print-config"], folder, options);
    assertStringIncludes(config.stdout, `${server.url}/examples/regression.ts`);

    await using job = new RunningCli(["launch", "--num-processes", "2", "a.ts", "x"], folder, options);
    const matches = await job.waitForOutput(/pid (\d+) true x\n/, 2);
    const pids = matches.map((match) => Number(match[1]));
    job.kill("SIGKILL");
    await waitUntilGone(pids);
    assertEquals(pids.map(processState), [undefined, undefined]);
  } finally {
    await server.stop();
  }
});
