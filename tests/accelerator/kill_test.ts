import { assert, assertEquals } from "@std/assert";

const MOD = new URL("../../mod.ts", import.meta.url).href;
const KILLS = 50;

/** Saves without end, in three ways, and says what is complete. Every value of checkpoint n is n. */
const SAVER = `
  import { Accelerator, nn, noGrad } from "${MOD}";
  const [folder, kind, from] = Deno.args;
  const accelerator = new Accelerator({ projectDir: folder, project: { automaticCheckpointNaming: true, totalLimit: 2 } });
  const model = new nn.Linear(300, 300);
  await accelerator.prepare(model);
  for (let n = Number(from); ; n++) {
    noGrad(() => model.parameters().forEach((p) => p.fill_(n)));
    if (kind === "overwrite") await accelerator.saveState(folder + "/mine", { overwrite: true });
    else await accelerator.saveState(undefined, { async: kind === "async" });
    await accelerator.flush();
    Deno.stdout.writeSync(new TextEncoder().encode(n + "\\n"));
  }
`;

/** Loads after each kill, in one process: whatever it finds must be whole, and no older than what was complete. */
const LOADER = `
  import { Accelerator, nn } from "${MOD}";
  const [folder, kind] = Deno.args;
  const accelerator = new Accelerator({ projectDir: folder, project: { automaticCheckpointNaming: true } });
  const model = new nn.Linear(300, 300);
  await accelerator.prepare(model);
  await accelerator.loadState(kind === "overwrite" ? folder + "/mine" : undefined);
  const values = new Set(model.parameters().flatMap((p) => Array.from(p.data())));
  if (values.size !== 1) throw new Error("mixed: " + [...values].join(" "));
  console.log([...values][0]);
`;

function deno(path: string, args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", path, ...args],
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  });
}

async function load(folder: string, kind: string): Promise<number> {
  const { stdout, stderr } = await deno(`${folder}/loader.ts`, [folder, kind]).output();
  const text = new TextDecoder().decode(stdout).trim();
  assert(/^\d+$/.test(text), `${kind}: ${new TextDecoder().decode(stderr)}`);
  return Number(text);
}

for (const [kind, kills] of [["sync", 18], ["async", 16], ["overwrite", 16]] as const) {
  Deno.test(`kill -9 at ${kills} of ${KILLS} random moments of a save leaves the last complete checkpoint loadable (${kind})`, async () => {
    const folder = Deno.makeTempDirSync({ prefix: "accelerate-kill-" });
    try {
      Deno.writeTextFileSync(`${folder}/saver.ts`, SAVER);
      Deno.writeTextFileSync(`${folder}/loader.ts`, LOADER);
      let from = 1;
      for (let kill = 0; kill < kills; kill++) {
        const child = deno(`${folder}/saver.ts`, [folder, kind, String(from)]).spawn();
        let complete = 0;
        let output = "";
        const reading = (async () => {
          for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
            output += chunk;
            complete = Number(output.split("\n").at(-2) ?? 0);
            // After the first save the moment is random: a save takes about as long as this waits at most.
            if (complete === from) setTimeout(() => child.kill("SIGKILL"), Math.random() * 60);
          }
        })();
        const [{ signal }, stderr] = await Promise.all([child.status, child.stderr.text(), reading]);
        assertEquals([signal, stderr], ["SIGKILL", ""]);
        assert(complete >= from, `nothing was saved: ${stderr}`);
        const loaded = await load(folder, kind);
        assert(loaded === complete || loaded === complete + 1, `loaded ${loaded}, but ${complete} was complete`);
        from = loaded + 1;
      }
      if (kind !== "overwrite") {
        const left = [...Deno.readDirSync(`${folder}/checkpoints`)].map(({ name }) => name);
        assert(left.filter((name) => name.startsWith(".")).length <= 2, `strays pile up: ${left.join(" ")}`);
      }
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}
