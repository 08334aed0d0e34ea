import { assert, assertEquals, assertMatch } from "@std/assert";

const CLI = new URL("../../cli.ts", import.meta.url).pathname;
const DATA = new URL("../../../shared/data/mnist", import.meta.url).pathname;

async function launch(
  example: string,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const path = new URL(`../../examples/${example}`, import.meta.url).pathname;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", CLI, "launch", "--cpu", path, ...args],
  });
  const { code, stdout, stderr } = await command.output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

let hasData = true;
try {
  Deno.statSync(DATA);
} catch (error) {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
  hasData = false;
}
const note = hasData ? "" : " (skipped: no MNIST files beside the checkout)";

Deno.test({
  name: `mnist.ts reaches 93% after 5 epochs on 8,000 images${note}`,
  ignore: !hasData,
  fn: async () => {
    const { code, stdout, stderr } = await launch("mnist.ts", "--data", DATA);
    assertEquals([code, stderr], [0, ""]);
    const accuracy = /^Epoch 5, .*Accuracy: (\d+\.\d+)%/m.exec(stdout)?.[1];
    assert(Number(accuracy) >= 93, stdout);
  },
});

Deno.test({
  name: `mnist_cnn.ts reaches 97% after 3 epochs on 8,000 images${note}`,
  ignore: !hasData,
  fn: async () => {
    const { code, stdout, stderr } = await launch("mnist_cnn.ts", "--data", DATA, "--epochs", "3");
    assertEquals([code, stderr], [0, ""]);
    const accuracy = /^Epoch 3, .*Accuracy: (\d+\.\d+)%/m.exec(stdout)?.[1];
    assert(Number(accuracy) >= 97, stdout);
  },
});

Deno.test("the mnist examples without data say in one sentence where to get them", async () => {
  for (const example of ["mnist.ts", "mnist_cnn.ts"]) {
    for (const args of [[], ["--data"], ["--data", "/nowhere"]]) {
      const { code, stderr } = await launch(example, ...args);
      assertEquals(code, 2);
      assertMatch(stderr, /download the four \.gz files/);
    }
  }
});
