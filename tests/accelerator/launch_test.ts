// Launching from code.
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { launch, LaunchError } from "../../mod.ts";
import { ScriptFolder } from "../_support/processes.ts";

const MOD = new URL("../../mod.ts", import.meta.url).href;

async function run(script: string): Promise<{ code: number; stdout: string; stderr: string }> {
  using folder = new ScriptFolder({ "a.ts": `import { Accelerator, launch, nn, tensor } from "${MOD}";\n${script}` });
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", `${folder.path}/a.ts`, "from", "outside"],
    env: { NO_COLOR: "1", CUDA_VISIBLE_DEVICES: "" },
    signal: AbortSignal.timeout(60_000),
  });
  const { code, stdout, stderr } = await command.output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

// B19: the reference forks, and hangs when the parent has used autograd before.
Deno.test("B19: launch(fn) runs a function on ranks, also after gradients were computed before, and more than once", async () => {
  const { code, stdout, stderr } = await run(`
    const model = new nn.Linear(1, 1);
    model.forward(tensor([[1]])).sum().backward();
    const train = async () => {
      const accelerator = new Accelerator();
      const sum = await accelerator.reduce(tensor([accelerator.processIndex + 1]));
      accelerator.print("sum", sum.toArray(), Deno.args.join());
      await accelerator.end();
    };
    await launch(train, { numProcesses: 2, cpu: true });
    await launch(async () => {
      const accelerator = new Accelerator();
      accelerator.print("again on", accelerator.numProcesses, Deno.env.get("COLOUR"), Deno.args.length);
      await accelerator.end();
    }, { numProcesses: 3, cpu: true, args: [], env: { COLOUR: "red" } });
    console.log("after");
  `);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout, "sum [ 3 ] from,outside\nagain on 3 red 0\nafter\n");
});

Deno.test("launch(url) runs a module on ranks", async () => {
  const { code, stdout, stderr } = await run(`
    const path = await Deno.makeTempFile({ suffix: ".ts" });
    await Deno.writeTextFile(path, 'console.log(Deno.env.get("RANK"), Deno.args.join())');
    await launch(new URL("file://" + path), { numProcesses: 2, cpu: true, args: ["a", "b"] });
    await Deno.remove(path);
    console.log("after");
  `);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout.split("\n").sort(), ["", "0 a,b", "[rank 1] 1 a,b", "after"]);
});

Deno.test("a rank that fails makes launch() reject, and so does what cannot be launched", async () => {
  const { code, stdout, stderr } = await run(`
    await launch(() => {
      if (Deno.env.get("RANK") === "1") throw new Error("rank 1 is ill");
    }, { numProcesses: 2, cpu: true }).catch((error) => console.log(error.name + ": " + error.message));
  `);
  assertEquals([code, stdout], [0, "LaunchError: The launched processes failed with exit code 1\n"]);
  assertStringIncludes(stderr, "rank 1 is ill");
  await assertRejects(() => launch("file:///no/such.ts"), LaunchError, "Cannot find the script file:///no/such.ts");
});
