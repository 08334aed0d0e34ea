import { assert, assertEquals, assertStringIncludes } from "@std/assert";

Deno.test("cli.ts launch without a script trains the regression example with a falling loss", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("../../cli.ts", import.meta.url).pathname, "launch"],
  }).output();
  const text = new TextDecoder().decode(stdout);
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  const losses = Array.from(text.matchAll(/^Epoch (\d), Loss: (\d+\.\d{4})$/gm), ([, , loss]) => Number(loss));
  assertEquals(losses.length, 2);
  assert(losses[1] < losses[0], text);
});

Deno.test("a precision that the Accelerator does not choose is refused, and autocast() named", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      new URL("../../cli.ts", import.meta.url).pathname,
      "launch",
      "--cpu",
      "--mixed-precision",
      "bf16",
    ],
  }).output();
  assertEquals(code, 1);
  assertStringIncludes(
    new TextDecoder().decode(stderr),
    "Cannot train in bf16: the Accelerator does not choose a precision yet",
  );
});
