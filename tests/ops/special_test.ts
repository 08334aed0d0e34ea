import { assert } from "@std/assert";
import { tensor } from "../../mod.ts";
import { applyUnary, type UnaryName } from "../../src/ops/unary.ts";
import { testDevices } from "../_support/devices.ts";

/** Every `STEP`-th float: all exponents, both signs, denormals, and NaN; a prime, so that the last bits vary too. */
const STEP = 4099;

function grid(): Float32Array<ArrayBuffer> {
  const bits = Uint32Array.from({ length: Math.floor(2 ** 32 / STEP) }, (_, i) => i * STEP);
  // What a step may miss: zeros, the smallest and largest numbers, infinities, and the ends of the reductions.
  const special = [0, -0, 2 ** -149, -(2 ** -149), 2 ** -126, 1, -1, 88.72283, -87.33655, -103.97, -104, 3.4028234e38];
  const values = [...special, Infinity, -Infinity, NaN];
  return Float32Array.from([...new Float32Array(bits.buffer), ...values]);
}

/** Distance in units in the last place of the float that is nearest to `exact`. */
function ulps(value: number, exact: number): number {
  const nearest = Math.fround(exact);
  if (Object.is(value, nearest)) return 0;
  if (!Number.isFinite(nearest) || !Number.isFinite(value) || nearest === 0 && value === 0) return Infinity;
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(exact))), -126);
  return Math.abs(value - exact) / 2 ** (exponent - 23);
}

/** erf in float64: its series, or the continued fraction of erfc. */
function erf(x: number): number {
  const a = Math.abs(x);
  if (!(a < 6)) return Number.isNaN(x) ? NaN : Math.sign(x);
  if (a < 1.5) {
    let term = x;
    let total = x;
    for (let n = 1; n < 60; n++) {
      term *= -x * x / n;
      total += term / (2 * n + 1);
    }
    return Object.is(x, -0) ? -0 : total * 2 / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 80; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
}

// Limits are the errors over all floats that kernels/dev/special/measure.cc finds, rounded up. The sigmoid divides two rounded numbers.
const functions: Partial<Record<UnaryName, { exact: (x: number) => number; limit: number }>> = {
  exp: { exact: Math.exp, limit: 1.3 },
  expm1: { exact: Math.expm1, limit: 1.6 },
  log: { exact: Math.log, limit: 1 },
  log1p: { exact: Math.log1p, limit: 1.5 },
  tanh: { exact: Math.tanh, limit: 1.6 },
  erf: { exact: erf, limit: 1.7 },
  sigmoid: { exact: (x) => 1 / (1 + Math.exp(-x)), limit: 2.5 },
};

for (const device of testDevices(import.meta.url)) {
  for (const [name, { exact, limit }] of Object.entries(functions)) {
    Deno.test(`${name} of floats of every size is within ${limit} ulp (${device})`, () => {
      const x = grid();
      const y = applyUnary(name as UnaryName, tensor(x, { device })).data() as Float32Array;
      assert(y.length === x.length && x.length > 1e6);
      let worst = 0;
      let at = 0;
      for (let i = 0; i < x.length; i++) {
        const error = ulps(y[i], exact(x[i]));
        if (error > worst) [worst, at] = [error, x[i]];
      }
      // CUDA's functions are documented to 2 ulp.
      assert(worst <= (device === "cpu" ? limit : 2.5), `${worst} ulp at ${at}`);
    });
  }

  Deno.test(`GELU keeps its digits in the negative tail (${device})`, () => {
    const x = Float32Array.from({ length: 1000 }, (_, i) => -5.5 + i / 100);
    const y = applyUnary("gelu", tensor(x, { device })).data();
    // 1 + erf(x) would have no digit left at -5.5. The argument x^2 / 2 of the exponential is rounded, which costs 15 / 2 ulp there.
    x.forEach((value, i) => {
      let below = (1 + erf(value * Math.SQRT1_2)) / 2;
      if (value < -1) {
        let fraction = 0;
        for (let n = 200; n > 0; n--) fraction = n / (-value + fraction);
        below = Math.exp(-value * value / 2) / Math.sqrt(2 * Math.PI) / (-value + fraction);
      }
      assert(ulps(Number(y[i]), value * below) < 12, `${y[i]} at ${value}, expected ${value * below}`);
    });
  });
}
