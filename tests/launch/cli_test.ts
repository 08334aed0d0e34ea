import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { runCli, ScriptFolder } from "../_support/processes.ts";

const REPORT = `
const names = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "ACCELERATE_USE_CPU",
  "ACCELERATE_MIXED_PRECISION", "ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "ACCELERATE_STORE_SECRET", "A", "B"];
const environment = Object.fromEntries(names.map((name) => [name, Deno.env.get(name)]));
console.log(JSON.stringify({ environment, args: Deno.args, main: import.meta.main, cwd: Deno.cwd() }));
`;

interface Report {
  environment: Record<string, string | undefined>;
  args: string[];
  main: boolean;
  cwd: string;
}

Deno.test("help, version and env", async () => {
  using folder = new ScriptFolder();
  const general = await runCli(["--help"], folder);
  assertEquals([general.code, general.stderr], [0, ""]);
  assertMatch(general.stdout, /launch +train/);
  assertMatch(general.stdout, /env +print/);
  const launch = await runCli(["launch", "--help"], folder);
  assertEquals(launch.code, 0);
  assertMatch(launch.stdout, /--num-processes N/);
  assert(!launch.stdout.includes("--num-machines"), "only what works is listed");
  assertEquals((await runCli(["help", "launch"], folder)).stdout, launch.stdout);
  assertMatch((await runCli(["--version"], folder)).stdout, /^\d+\.\d+\.\d+\n$/);
  const env = await runCli(["env"], folder, {
    env: { ACCELERATE_STORE_SECRET: "hunter2", ACCELERATE_CUDA_LIBRARY: "" },
  });
  assertEquals([env.code, env.stderr], [0, ""]);
  assertMatch(env.stdout, new RegExp(`deno +${Deno.version.deno}`));
  assertMatch(env.stdout, /NVIDIA GPUs +0/);
  assertStringIncludes(env.stdout, `${folder.path}/libaccelerate_cpu.so`);
  assert(!env.stdout.includes("hunter2"));
  // That folder holds no CUDA library.
  assertMatch(env.stdout, /NVIDIA driver +unknown: the CUDA library, which looks for it, cannot be loaded/);
  const own = await runCli(["env"], folder, {
    env: { ACCELERATE_LIBRARY_DIR: "", ACCELERATE_CUDA_LIBRARY: "", ACCELERATE_NCCL_LIBRARY: "/nowhere" },
  });
  assertEquals([own.code, own.stderr], [0, ""]);
  assertMatch(own.stdout, /NVIDIA driver +(missing: libcuda\.so\.1 is not on the loader's path|CUDA \d+\.\d+)/);
  assertMatch(own.stdout, /NCCL +missing: ACCELERATE_NCCL_LIBRARY names \/nowhere, which cannot be loaded: /);
  assertMatch(own.stdout, /cuBLASLt +(\/|missing: libcublasLt\.so\.13 is neither on the loader's path)/);
  const nothing = await runCli([], folder);
  assertEquals([nothing.code, nothing.stdout], [2, general.stdout]);
});

Deno.test("wrong usage is one sentence and status 2", async () => {
  using folder = new ScriptFolder({ "a.ts": REPORT });
  const cases: [string[], string][] = [
    [["lanuch"], "Unknown command lanuch: did you mean launch?"],
    [["checkpoint"], "Unknown command checkpoint: the commands are launch, verify-resume, env"],
    [["--hlep"], "did you mean --help?"],
    [["launch", "--num-procesess", "2", "a.ts"], "did you mean --num-processes?"],
    [["launch", "--num-processes", "0", "a.ts"], "--num-processes must be a whole number"],
    [["launch", "--num-processes", "two", "a.ts"], 'got "two"'],
    [["launch", "missing.ts"], `Cannot find the script missing.ts in ${folder.path}`],
    [["launch", "file:///missing.ts"], "Cannot find the script file:///missing.ts"],
    [["launch", "file://%"], "Cannot find the script file://%"],
    [["launch", "."], "Cannot run .: it is not a file"],
  ];
  for (const [args, sentence] of cases) {
    const { code, stdout, stderr } = await runCli(args, folder);
    assertEquals([code, stdout], [2, ""], args.join(" "));
    assertStringIncludes(stderr, sentence);
    assertMatch(stderr, /^error: [^\n]+\n$/);
  }
});

Deno.test("one process: environment, arguments, output and status are the script's", async () => {
  using folder = new ScriptFolder({ "a.ts": `${REPORT} console.error("problem"); Deno.exit(7);` });
  const { code, stdout, stderr } = await runCli(["launch", "a.ts", "--", "x y", "--cpu", ""], folder);
  assertEquals(code, 7);
  assertEquals(stderr, "problem\nrank 0 failed with exit code 7\n");
  const { environment, args, main, cwd } = JSON.parse(stdout) as Report;
  assertEquals([args, main, cwd], [["--", "x y", "--cpu", ""], true, folder.path]);
  assertEquals(environment.RANK, "0");
  assertEquals(environment.WORLD_SIZE, "1");
  assertEquals(environment.ACCELERATE_USE_CPU, "1");
  assertEquals(environment.ACCELERATE_MIXED_PRECISION, undefined);
});

Deno.test("several processes: torchrun's variables, and the ranks in front of lines", async () => {
  using folder = new ScriptFolder({ "a.ts": REPORT });
  const { code, stdout, stderr } = await runCli(
    [
      "launch",
      "--num_processes",
      "3",
      "--cpu",
      "--mixed-precision",
      "bf16",
      "--gradient-accumulation-steps=4",
      "--env",
      "A=1",
      "--env",
      "B=x=y",
      "a.ts",
    ],
    folder,
    { env: { RANK: "9", WORLD_SIZE: "99", MASTER_PORT: "1" } },
  );
  assertEquals([code, stderr], [0, ""]);
  const lines = stdout.trimEnd().split("\n");
  assertEquals(lines.map((line) => line.match(/^(\[rank \d\] )?\{/)?.[1] ?? "").sort(), ["", "[rank 1] ", "[rank 2] "]);
  const reports = lines.map((line) => JSON.parse(line.replace(/^\[rank \d\] /, "")) as Report);
  const secrets = new Set(reports.map(({ environment }) => environment.ACCELERATE_STORE_SECRET));
  const ports = new Set(reports.map(({ environment }) => environment.MASTER_PORT));
  assertEquals([secrets.size, ports.size], [1, 1]);
  assertMatch([...secrets][0] ?? "", /^[0-9a-f]{64}$/);
  assert(Number([...ports][0]) > 1);
  for (const [index, line] of lines.entries()) {
    const { environment } = reports[index];
    const rank = line.match(/^\[rank (\d)\]/)?.[1] ?? "0";
    assertEquals([environment.RANK, environment.LOCAL_RANK], [rank, rank]);
    assertEquals([environment.WORLD_SIZE, environment.LOCAL_WORLD_SIZE, environment.MASTER_ADDR], [
      "3",
      "3",
      "127.0.0.1",
    ]);
    assertEquals([environment.A, environment.B], ["1", "x=y"]);
    assertEquals(environment.ACCELERATE_MIXED_PRECISION, "bf16");
    assertEquals(environment.ACCELERATE_GRADIENT_ACCUMULATION_STEPS, "4");
  }
});

Deno.test("lines of many ranks are never torn, and the last one needs no newline", async () => {
  using folder = new ScriptFolder({
    "a.ts": `
      const rank = Deno.env.get("RANK");
      const bytes = new TextEncoder().encode(Array.from({ length: 4000 }, (_, i) => rank + ":" + i + ":" + "x".repeat(i % 50)).join("\\n"));
      for (let start = 0; start < bytes.length;) start += Deno.stdout.writeSync(bytes.subarray(start, start + 1013));
    `,
  });
  const { code, stdout } = await runCli(["launch", "--num-processes", "3", "a.ts"], folder);
  assertEquals(code, 0);
  for (const rank of ["1", "2"]) {
    const lines = stdout.split("\n").filter((line) => line.includes(`[rank ${rank}] `));
    // Rank 0 writes to the same pipe in pieces of half lines, so something of it may stand before a line of the others.
    const own = lines.map((line) => line.slice(line.indexOf(`[rank ${rank}] `)));
    assertEquals(own, Array.from({ length: 4000 }, (_, i) => `[rank ${rank}] ${rank}:${i}:${"x".repeat(i % 50)}`));
  }
});

Deno.test("rank 0 has the input, the others have none", async () => {
  using folder = new ScriptFolder({
    "a.ts": `console.log("read " + JSON.stringify(await new Response(Deno.stdin.readable).text()));`,
  });
  const { stdout } = await runCli(["launch", "--num-processes", "2", "a.ts"], folder, { stdin: "hello" });
  assertEquals(stdout.trimEnd().split("\n").sort(), ['[rank 1] read ""', 'read "hello"']);
});

Deno.test("--print-config starts nothing", async () => {
  using folder = new ScriptFolder({ "a.ts": REPORT });
  const { code, stdout } = await runCli(["launch", "--print-config", "--num-processes", "2", "a.ts"], folder);
  assertEquals(code, 0);
  assertMatch(stdout, /^num-processes +2 +--num-processes$/m);
  assertMatch(stdout, /^cpu +true +no GPU found$/m);
  assert(!stdout.includes("environment"));
});

Deno.test("a port in use is one sentence and status 1", async () => {
  using folder = new ScriptFolder({ "a.ts": REPORT });
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = String(listener.addr.port);
  const { code, stdout, stderr } = await runCli(["launch", "--main-process-port", port, "a.ts"], folder);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, new RegExp(`^error: Port ${port} on 127.0.0.1 is in use: [^\\n]+\\n$`));
});

Deno.test("a missing native library is one sentence and status 1", async () => {
  using folder = new ScriptFolder({ "a.ts": REPORT });
  const env = { ACCELERATE_LIBRARY_DIR: `${folder.path}/nowhere` };
  const { code, stdout, stderr } = await runCli(["launch", "--num-processes", "2", "a.ts"], folder, { env });
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^error: Cannot find [^\n]+\n$/);
});

Deno.test("a reader that goes away does not stop the job", async () => {
  using folder = new ScriptFolder({
    "a.ts": `
      if (Deno.env.get("RANK") === "0") Deno.exit(0);
      for (let i = 0; i < 20000; i++) console.log("line", i);
      Deno.writeTextFileSync("done", "");
    `,
  });
  const shell = `"$0" run -A "$1" launch --num-processes 2 a.ts | head -n 1`;
  const { success } = await new Deno.Command("sh", {
    args: ["-c", shell, Deno.execPath(), new URL("../../cli.ts", import.meta.url).href],
    cwd: folder.path,
    env: { CUDA_VISIBLE_DEVICES: "", ACCELERATE_LIBRARY_DIR: folder.path },
    stdout: "null",
    stderr: "null",
  }).output();
  assert(success);
  assertEquals(Deno.statSync(`${folder.path}/done`).isFile, true);
});
