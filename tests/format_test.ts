import { assertEquals } from "@std/assert";
import { type DType, ones, setDefaultDevice, tensor } from "../mod.ts";
import golden from "./golden/format.json" with { type: "json" };

setDefaultDevice("cpu"); // the text of a tensor on another device names it

for (const [name, entry] of Object.entries(golden)) {
  const [dtype, shape, values, text] = entry as [DType, number[], (number | string)[], string];
  Deno.test(`toString() prints "${name}" as PyTorch`, () => {
    if (dtype === "int64") {
      assertEquals(tensor(BigInt64Array.from(values, BigInt), { shape }).toString(), text);
      return;
    }
    const numbers = values.map((value) => typeof value === "number" ? value : Number(value.replace("inf", "Infinity")));
    assertEquals(tensor(Float64Array.from(numbers), { dtype, shape }).toString(), text);
  });
}

Deno.test("console.log shows the text, and whether a gradient flows", () => {
  const x = ones([2], { requiresGrad: true });
  assertEquals(Deno.inspect(x), "tensor([1., 1.], requiresGrad=true)");
  assertEquals(Deno.inspect(x.mul(2)), "tensor([2., 2.], gradFn=<mul>)");
  x.dispose();
  assertEquals(Deno.inspect(x), "tensor(released, shape=(2))");
});
