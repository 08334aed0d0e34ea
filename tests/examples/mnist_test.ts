import { assert, assertEquals, assertMatch } from "@std/assert";

const CLI = new URL("../../cli.ts", import.meta.url).pathname;
const EXAMPLE = new URL("../../examples/mnist.ts", import.meta.url).pathname;
const DATA = new URL("../../../shared/data/mnist", import.meta.url).pathname;

async function launch(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", CLI, "launch", "--cpu", EXAMPLE, ...args],
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

Deno.test({
  name: `mnist.ts reaches 93% after 5 epochs on 8,000 images${
    hasData ? "" : " (ignored: no MNIST files beside the checkout)"
  }`,
  ignore: !hasData,
  fn: async () => {
    const { code, stdout, stderr } = await launch("--data", DATA);
    assertEquals([code, stderr], [0, ""]);
    const accuracy = /^Epoch 5, .*Accuracy: (\d+\.\d+)%/m.exec(stdout)?.[1];
    assert(Number(accuracy) >= 93, stdout);
  },
});

Deno.test("mnist.ts without data says in one sentence where to get them", async () => {
  for (const args of [[], ["--data"], ["--data", "/nowhere"]]) {
    const { code, stderr } = await launch(...args);
    assertEquals(code, 2);
    assertMatch(stderr, /download the four \.gz files/);
  }
});
