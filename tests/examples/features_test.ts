// The examples of one feature each, on two CPU ranks.
import { assert, assertEquals, assertMatch } from "@std/assert";

const CLI = new URL("../../cli.ts", import.meta.url).pathname;

async function launch(example: string, ranks = 2): Promise<string[]> {
  const path = new URL(`../../examples/${example}`, import.meta.url).pathname;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", CLI, "launch", "--cpu", "--num-processes", String(ranks), path],
    signal: AbortSignal.timeout(60_000),
  });
  const { code, stdout, stderr } = await command.output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  return new TextDecoder().decode(stdout).trimEnd().split("\n");
}

const lossOf = (line: string): number => Number(/loss (\d+\.\d+)$/.exec(line)![1]);

Deno.test("accumulation.ts takes a step every fourth micro-batch, and one for the rest of an epoch", async () => {
  const lines = await launch("accumulation.ts");
  assertEquals(lines.length, 10);
  for (const line of lines) assertMatch(line, /^Epoch \d+: 25 micro-batches, 7 steps, loss \d/);
  assert(lossOf(lines[9]) < lossOf(lines[0]) / 10, lines.join("\n"));
});

Deno.test("metrics.ts counts each of 101 samples once on two ranks", async () => {
  const lines = await launch("metrics.ts");
  assertEquals(lines.length, 3);
  for (const line of lines) {
    const [, right, mistakes] = /^Epoch \d: (\d+) of 101 right, (\d+) mistakes, accuracy 0\.\d+$/.exec(line)!.map(
      Number,
    );
    assertEquals(right + mistakes, 101);
    assert(right > 80);
  }
});

Deno.test("token_weighted.ts has the same losses on one rank and on two", async () => {
  const two = await launch("token_weighted.ts");
  assertEquals(
    two.map((line) => line.replace(/, loss.*/, "")),
    [5, 10, 15, 20].map((epoch) => `Epoch ${epoch}: 141 tokens`),
  );
  const one = await launch("token_weighted.ts", 1);
  // The sums over ranks are taken in another order; four digits are shown.
  two.forEach((line, i) => assert(Math.abs(lossOf(line) - lossOf(one[i])) < 2e-4, `${line}, one rank: ${one[i]}`));
  assert(lossOf(two[3]) < lossOf(two[0]));
});

Deno.test("local_sgd.ts ends with the same parameters on both ranks", async () => {
  const lines = await launch("local_sgd.ts");
  assertEquals(lines.length, 6);
  const losses = lines.slice(0, 5).map((line) =>
    /loss of each rank (\d\.\d+) (\d\.\d+)$/.exec(line)!.slice(1).map(Number)
  );
  assert(losses.some(([a, b]) => a !== b), "the ranks train on different data");
  assert(Math.max(...losses[4]) < Math.min(...losses[0]));
  assertEquals(lines[5], "All ranks have the same parameters: true");
});

Deno.test("early_stopping.ts stops both ranks at the same step", async () => {
  const [line] = await launch("early_stopping.ts");
  const [, a, b] = /^Stopped after (\d+) and (\d+) steps$/.exec(line)!.map(Number);
  assertEquals(a, b);
});
