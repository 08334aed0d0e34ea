import { assert, assertThrows } from "@std/assert";
import { devices, rand, ShapeError } from "../../mod.ts";

Deno.test("matmul() refuses different inner sizes", () => {
  assertThrows(
    () => rand([2, 3]).matmul(rand([4, 5])),
    ShapeError,
    "Cannot multiply (2, 3) by (4, 5): inner sizes must be equal, got 3 and 4",
  );
});

Deno.test({
  name: "a GPU is there (ACCELERATE_REQUIRE_GPU=1)",
  ignore: Deno.env.get("ACCELERATE_REQUIRE_GPU") !== "1",
  fn: () => assert(devices().length > 1, "test:gpu was asked for, but the CUDA library finds no GPU"),
});
