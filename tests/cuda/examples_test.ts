import { assert, assertEquals, assertMatch } from "@std/assert";
import { describeEmulated, emulatedTest, launchEmulated } from "../_support/emulated.ts";

const EXAMPLES = new URL("../../examples/", import.meta.url).pathname;

/** The numbers after a word on each line that has it. */
function numbersAfter(word: string, text: string): number[] {
  return Array.from(text.matchAll(new RegExp(`${word}: (\\d+\\.\\d+)`, "g")), ([, digits]) => Number(digits));
}

/** Losses are printed with four digits; sums in another order change the sixth. */
function assertSameLosses(actual: number[], expected: number[]): void {
  assert(expected.length > 0);
  assertEquals(actual.length, expected.length);
  actual.forEach((loss, i) => assert(Math.abs(loss - expected[i]) <= 2e-4, `${actual} and ${expected}`));
}

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "accelerate-test-" });
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

emulatedTest(
  "the regression program has the same losses on the CPU and on a GPU, eager and captured",
  () =>
    withFolder(async (folder) => {
      const program = async (example: string, ...options: string[]): Promise<number[]> => {
        const script = `${folder}/${example}`;
        const text =
          `import { manualSeed } from "${EXAMPLES}../mod.ts";\nmanualSeed(3);\nawait import("${EXAMPLES}${example}");\n`;
        await Deno.writeTextFile(script, text);
        return numbersAfter("Loss", await launchEmulated([...options, script]));
      };
      const expected = await program("regression.ts", "--cpu");
      assertEquals(expected.length, 2);
      assertSameLosses(await program("regression.ts"), expected);
      assertSameLosses(await program("captured_step.ts"), expected);
    }),
);

emulatedTest(
  "launch starts one process for each GPU, and they train as CPU ranks do",
  () =>
    withFolder(async (folder) => {
      const script = `${folder}/script.ts`;
      await Deno.writeTextFile(
        script,
        `
      import { Accelerator, manualSeed } from "${EXAMPLES}../mod.ts";
      const { device, distributedType, numProcesses, localProcessIndex } = new Accelerator();
      console.log(localProcessIndex, device, distributedType, numProcesses);
      manualSeed(3);
      await import("${EXAMPLES}regression.ts");
      `,
      );
      const gpus = { ACCELERATE_EMULATED_GPUS: "2" };
      const printed = await launchEmulated([script], gpus);
      assertMatch(printed, /^0 cuda:0 MULTI_GPU 2$/m);
      assertMatch(printed, /^\[rank 1\] 1 cuda:1 MULTI_GPU 2$/m);
      const expected = numbersAfter("Loss", await launchEmulated(["--cpu", "--num-processes", "2", script], gpus));
      assertSameLosses(numbersAfter("Loss", printed), expected);
      assertMatch(await launchEmulated(["--gpu-ids", "1", script], gpus), /^0 cuda:0 NO 1$/m);
      assertMatch(await launchEmulated([script], { ...gpus, CUDA_VISIBLE_DEVICES: "1" }), /^0 cuda:0 NO 1$/m);
      assertMatch(await launchEmulated([script], { ...gpus, CUDA_VISIBLE_DEVICES: "" }), /^0 cpu NO 1$/m);
    }),
);

emulatedTest("a captured step averages gradients between GPUs", () =>
  withFolder(async (folder) => {
    const script = `${folder}/script.ts`;
    await Deno.writeTextFile(
      script,
      `import { manualSeed } from "${EXAMPLES}../mod.ts";\nmanualSeed(3);\nawait import("${EXAMPLES}captured_step.ts");\n`,
    );
    const expected = numbersAfter("Loss", await launchEmulated(["--cpu", "--num-processes", "2", script]));
    const printed = await launchEmulated([script], { ACCELERATE_EMULATED_GPUS: "2" });
    assertSameLosses(numbersAfter("Loss", printed), expected);
  }));

emulatedTest("cli.ts env lists the GPUs", async () => {
  const printed = await describeEmulated({
    ACCELERATE_EMULATED_GPUS: "2",
    ACCELERATE_EMULATED_MEMORY: String(2 ** 30),
  });
  assertMatch(printed, /^NVIDIA GPUs +2$/m);
  assertMatch(printed, /^NVIDIA driver +CUDA 13\.0$/m);
  assertMatch(printed, /^GPU 0 +Emulated GPU, compute capability \d+\.\d, 1024 MiB\nGPU 1 +Emulated GPU, /m);
});

/** An IDX file of digits: label k is a bright bar at row k. */
async function writeDigits(folder: string, name: string, count: number): Promise<void> {
  const header = (...values: number[]): number[] => values.flatMap((value) => [0, 0, value >> 8, value & 255]);
  const labels = Array.from({ length: count }, (_, i) => (i * 7) % 10);
  const images = labels.flatMap((label, i) =>
    Array.from({ length: 784 }, (_, k) => Math.floor(k / 28) === 4 + 2 * label ? 200 + (i + k) % 56 : (i * k) % 40)
  );
  const write = async (kind: string, bytes: number[]): Promise<void> => {
    const stream = new Blob([Uint8Array.from(bytes)]).stream().pipeThrough(new CompressionStream("gzip"));
    await Deno.writeFile(`${folder}/${name}-${kind}-ubyte.gz`, stream);
  };
  await write("images-idx3", [...header(2051, count, 28, 28).map((byte, i) => i === 2 ? 8 : byte), ...images]);
  await write("labels-idx1", [...header(2049, count).map((byte, i) => i === 2 ? 8 : byte), ...labels]);
}

emulatedTest(
  "mnist.ts has the same losses on the CPU and on a GPU, eager and captured",
  () =>
    withFolder(async (folder) => {
      await writeDigits(folder, "train", 80);
      await writeDigits(folder, "t10k", 20);
      const run = (...options: string[]): Promise<string> => {
        const at = options.indexOf("--capture");
        const flags = at < 0 ? options : options.toSpliced(at, 1);
        return launchEmulated([
          ...flags,
          `${EXAMPLES}mnist.ts`,
          "--data",
          folder,
          ...options.slice(at < 0 ? options.length : at),
        ]);
      };
      const expected = await run("--cpu");
      assertEquals(numbersAfter("Loss", expected).length, 5);
      for (const options of [[], ["--capture"]]) {
        const printed = await run(...options);
        assertSameLosses(numbersAfter("Loss", printed), numbersAfter("Loss", expected));
        assertEquals(numbersAfter("Accuracy", printed), numbersAfter("Accuracy", expected));
      }
    }),
);

emulatedTest(
  "char_gpt.ts has the same losses on the CPU and on a GPU, eager and captured",
  () =>
    withFolder(async (folder) => {
      const path = `${folder}/text.txt`;
      await Deno.writeTextFile(path, "to be or not to be, that is the question: ".repeat(12));
      const sizes = [
        "--batch",
        "2",
        "--context",
        "8",
        "--layers",
        "1",
        "--width",
        "16",
        "--heads",
        "2",
        "--steps",
        "6",
      ];
      const run = async (flags: string[], ...options: string[]): Promise<number[]> => {
        const args = [...flags, `${EXAMPLES}char_gpt.ts`, "--data", path, ...sizes, "--sample", "3", ...options];
        return numbersAfter("[Ll]oss", await launchEmulated(args));
      };
      const expected = await run(["--cpu"]);
      assertEquals(expected.length, 2);
      assertSameLosses(await run([]), expected);
      assertSameLosses(await run([], "--capture"), expected);
    }),
);
