import { assertEquals, assertThrows } from "@std/assert";
import { devices, full, getFloat32MatmulPrecision, setFloat32MatmulPrecision } from "../../mod.ts";

const SIZE = 128; // large enough for tiles: kernels for few results do not round

for (const device of devices()) {
  Deno.test(`float32 products round to tf32 on a GPU only, and only when asked (${device})`, () => {
    // 1 + 2^-12 needs 13 significant bits, tf32 has 11. Sums of either are exact in float32.
    const a = full([SIZE, SIZE], 1 + 2 ** -12, { device });
    const b = full([SIZE, SIZE], 1, { device });
    const product = (): number => Number(a.matmul(b).data()[SIZE + 1]);
    const exact = SIZE * (1 + 2 ** -12);
    assertEquals(product(), exact);
    try {
      for (const precision of ["high", "medium"] as const) {
        setFloat32MatmulPrecision(precision);
        assertEquals(getFloat32MatmulPrecision(), precision);
        assertEquals(product(), device === "cpu" ? exact : SIZE);
      }
    } finally {
      setFloat32MatmulPrecision("highest");
    }
    assertEquals(product(), exact);
  });
}

Deno.test("an unknown precision of float32 products is refused and changes nothing", () => {
  assertThrows(
    () => setFloat32MatmulPrecision("low" as "high"),
    RangeError,
    'Cannot set the precision of float32 products to "low": it must be "highest", "high" or "medium"',
  );
  assertEquals(getFloat32MatmulPrecision(), "highest");
});
