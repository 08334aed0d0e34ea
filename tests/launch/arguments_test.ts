import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { LaunchError } from "../../src/core/errors.ts";
import { parseCommand } from "../../src/launch/arguments.ts";
import { countGpuNodes } from "../../src/core/gpus.ts";
import { visibleGpus } from "../../src/launch/gpus.ts";
import { type Command, COMMANDS } from "../../src/launch/options.ts";
import { describeSettings, type LaunchSettings, readSettings } from "../../src/launch/settings.ts";
import { nearestName } from "../../src/launch/suggest.ts";
import { UsageError } from "../../src/launch/usage_error.ts";

const LAUNCH = COMMANDS.find(({ name }) => name === "launch") as Command;

function settings(
  args: string[],
  environment: Record<string, string> = {},
  gpuCount = 0,
): LaunchSettings {
  const machine = { environment: (name: string): string | undefined => environment[name], gpuCount };
  return readSettings(LAUNCH, parseCommand(LAUNCH, args), machine);
}

Deno.test("options end at the script, whatever the script's arguments look like", () => {
  const cases: [string[], string | undefined, string[]][] = [
    [[], undefined, []],
    [["a.ts"], "a.ts", []],
    [["--cpu", "a.ts", "--cpu", "-x", "--num-processes", "0"], "a.ts", ["--cpu", "-x", "--num-processes", "0"]],
    [["a.ts", "--", "b", "--"], "a.ts", ["--", "b", "--"]],
    [["a.ts", "--"], "a.ts", ["--"]],
    [["--", "a.ts", "b"], "a.ts", ["b"]],
    [["--", "--odd.ts", "--", "b"], "--odd.ts", ["--", "b"]],
    [["--num-processes", "2", "--", "a.ts"], "a.ts", []],
    [["--cpu", "--"], undefined, []],
    [["a.ts", "", "007", "1e3", "--a=b c"], "a.ts", ["", "007", "1e3", "--a=b c"]],
    [["--env", "A=1", "--env=B=2", "12", "3"], "12", ["3"]],
  ];
  for (const [args, script, scriptArguments] of cases) {
    const parsed = parseCommand(LAUNCH, args);
    assertEquals([parsed.script, parsed.scriptArguments], [script, scriptArguments], JSON.stringify(args));
  }
});

Deno.test("values: both spellings, with and without =, the last one wins, --env collects", () => {
  const given = (args: string[], name: string): readonly string[] | undefined =>
    parseCommand(LAUNCH, args).values.get(name);
  assertEquals(given(["--num-processes", "2"], "num-processes"), ["2"]);
  assertEquals(given(["--num_processes", "2"], "num-processes"), ["2"]);
  assertEquals(given(["--num_processes=2"], "num-processes"), ["2"]);
  assertEquals(given(["--num-processes=2", "--num_processes=3"], "num-processes")?.at(-1), "3");
  assertEquals(given(["--num-processes", "-1"], "num-processes"), ["-1"]);
  assertEquals(given(["--env", "A=1", "--env", "B=x=y"], "env"), ["A=1", "B=x=y"]);
  assertEquals(given(["--cpu"], "num-processes"), undefined);
  assertEquals([...parseCommand(LAUNCH, ["-q", "--cpu", "a.ts"]).switches], ["cpu", "quiet"]);
});

Deno.test("mistakes are one helpful sentence", () => {
  const cases: [string[], string][] = [
    [["--num-procesess", "2"], "did you mean --num-processes?"],
    [["--num_proceses=2"], "did you mean --num-processes?"],
    [["--nproc_per_node", "2"], "did you mean --num-processes?"],
    [["--master-port", "1"], "did you mean --main-process-port?"],
    [["--mixed-precison", "bf16"], "did you mean --mixed-precision?"],
    [["--grad-accumulation-steps", "2"], "did you mean --gradient-accumulation-steps?"],
    [["-cpu"], "did you mean --cpu?"],
    [["--zzzzzzzzzzz"], "see launch --help"],
    [["--__proto__=1"], "Unknown option --__proto__"],
    [["--num-processes"], "--num-processes needs a value"],
    [["--num-processes", "--cpu"], "--num-processes needs a value"],
    [["--env="], "--env needs a value"],
    [["--cpu=perhaps"], "--cpu takes no value"],
  ];
  for (const [args, sentence] of cases) {
    const { message } = assertThrows(() => parseCommand(LAUNCH, args), UsageError);
    assertStringIncludes(message, sentence, args.join(" "));
    assertEquals(message.split("\n").length, 1);
  }
  const env = COMMANDS.find(({ name }) => name === "env") as Command;
  assertThrows(() => parseCommand(env, ["x"]), UsageError, "takes no arguments");
});

Deno.test("values that an option cannot have", () => {
  const cases: [string[], string][] = [
    [["--num-processes", "0"], '--num-processes must be a whole number from 1 to 1024, got "0"'],
    [["--num-processes", "-2"], 'got "-2"'],
    [["--num-processes", "1.5"], 'got "1.5"'],
    [["--num-processes", "two"], 'got "two"'],
    [["--num-processes", "0x2"], 'got "0x2"'],
    [["--num-processes", "100000"], "from 1 to 1024"],
    [["--main-process-port", "65536"], "from 0 to 65535"],
    [["--gradient-accumulation-steps", "0"], "--gradient-accumulation-steps must be"],
    [["--mixed-precision", "int8"], "must be one of no, bf16, fp16, fp8"],
    [["--env", "novalue"], "must be KEY=VALUE"],
    [["--env", "=x"], "must be KEY=VALUE"],
    [["--env", "RANK=1"], "cannot set RANK"],
    [["--cpu", "--gpu-ids", "0"], "contradict"],
    [["--gpu-ids", "a"], "must be GPU numbers"],
    [["--gpu-ids", "0,0"], "each GPU once"],
  ];
  for (const [args, sentence] of cases) {
    assertStringIncludes(assertThrows(() => settings(args), UsageError).message, sentence, args.join(" "));
  }
  assertThrows(() => settings([], { ACCELERATE_USE_CPU: "perhaps" }), UsageError, "ACCELERATE_USE_CPU must be 1 or 0");
  assertThrows(() => settings([], { ACCELERATE_NUM_PROCESSES: "x" }), UsageError, "ACCELERATE_NUM_PROCESSES must be");
  assertThrows(() => settings(["--num-machines", "2"]), LaunchError, "not available yet");
  assertEquals(settings(["--num-machines", "1", "--machine-rank", "0"]).numProcesses.value, 1);
});

Deno.test("how many processes, and where", () => {
  const summary = (...args: Parameters<typeof settings>): [number, boolean, string] => {
    const { numProcesses, cpu, gpuIds } = settings(...args);
    return [numProcesses.value, cpu.value, gpuIds.value.join(",")];
  };
  assertEquals(summary([]), [1, true, ""]);
  assertEquals(summary(["--num-processes", "3"]), [3, true, ""]);
  assertEquals(summary([], {}, 4), [4, false, "0,1,2,3"]);
  assertEquals(summary(["--cpu"], {}, 4), [1, true, ""]);
  assertEquals(summary(["--cpu", "--num-processes", "8"], {}, 4), [8, true, ""]);
  assertEquals(summary([], { ACCELERATE_USE_CPU: "yes" }, 4), [1, true, ""]);
  assertEquals(summary(["--num-processes", "2"], {}, 4), [2, false, "0,1,2,3"]);
  assertEquals(summary(["--gpu-ids", "1,3"], {}, 4), [2, false, "1,3"]);
  assertEquals(summary(["--gpu-ids", "all"], {}, 2), [2, false, "0,1"]);
  assertEquals(summary([], { CUDA_VISIBLE_DEVICES: "2" }, 4), [1, false, "2"]);
  assertEquals(summary([], { CUDA_VISIBLE_DEVICES: "" }, 4), [1, true, ""]);
  assertThrows(() => settings(["--num-processes", "3"], {}, 2), LaunchError, "Cannot start 3 processes on 2 GPUs");
  assertThrows(() => settings(["--gpu-ids", "2"], {}, 2), LaunchError, "Cannot use GPU 2");
});

Deno.test("options come before variables, and those before defaults; --print-config says which", () => {
  const variables = { ACCELERATE_NUM_PROCESSES: "3", ACCELERATE_MIXED_PRECISION: "fp16" };
  const chosen = settings(["--num-processes", "2", "a.ts", "x"], variables);
  assertEquals(chosen.numProcesses, { value: 2, source: "--num-processes" });
  assertEquals(chosen.mixedPrecision, { value: "fp16", source: "ACCELERATE_MIXED_PRECISION" });
  assertEquals(chosen.mainProcessPort, { value: 0, source: "default" });
  const text = describeSettings(chosen);
  assertEquals(text.match(/^num-processes +2 +--num-processes$/m)?.length, 1, text);
  assertEquals(text.match(/^mixed-precision +"fp16" +ACCELERATE_MIXED_PRECISION$/m)?.length, 1, text);
  assertEquals(text.match(/^script-arguments +\["x"\] +command line$/m)?.length, 1, text);
  assertEquals(settings([], { ACCELERATE_NUM_PROCESSES: "" }).numProcesses.value, 1, "an empty variable is unset");
});

Deno.test("visible GPUs follow CUDA's rules", () => {
  assertEquals(visibleGpus(2, undefined), ["0", "1"]);
  assertEquals(visibleGpus(4, "3, 1"), ["3", "1"]);
  assertEquals(visibleGpus(4, "0,-1,2"), ["0"]);
  assertEquals(visibleGpus(2, "0,5,1"), ["0"]);
  assertEquals(visibleGpus(2, ""), []);
  assertEquals(visibleGpus(2, "GPU-8932f937,1"), ["GPU-8932f937", "1"]);
  assertEquals(visibleGpus(0, "0"), []);
});

Deno.test("GPUs are counted by their device nodes", () => {
  const directory = Deno.makeTempDirSync();
  try {
    for (const name of ["nvidia0", "nvidia1", "nvidia12", "nvidiactl", "nvidia-uvm", "nvidia", "xnvidia3"]) {
      Deno.writeTextFileSync(`${directory}/${name}`, "");
    }
    assertEquals(countGpuNodes(directory), 3);
    assertEquals(countGpuNodes(`${directory}/missing`), 0);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("the nearest name, or none", () => {
  const names = ["launch", "env"];
  assertEquals(nearestName("lanuch", names), "launch");
  assertEquals(nearestName("Launch", names), "launch");
  assertEquals(nearestName("run", names), "launch");
  assertEquals(nearestName("evn", names), "env");
  assertEquals(nearestName("checkpoint", names), undefined);
  assertEquals(nearestName("constructor", names), undefined);
  assertEquals(nearestName("", names), undefined);
});
