import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type DeviceName,
  DTypeError,
  manualSeed,
  nn,
  noGrad,
  randn,
  ShapeError,
  type Tensor,
  tensor,
  zeros,
} from "../../mod.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { assertClose, decode } from "../_support/close.ts";
import { sequence } from "../_support/sequence.ts";
import golden from "../golden/transformer.json" with { type: "json" };
import { testDevices } from "../_support/devices.ts";

/** What a golden holds beside its options. */
interface Case {
  name: string;
  keys: string[];
  outputs: ((number | string)[] | null)[];
  inputGrads: number[][];
  grads: (number[] | null)[];
  same?: boolean;
  unbatched?: boolean;
  batchFirst?: boolean;
  bias?: boolean;
  kdim?: number;
  vdim?: number;
  weights?: boolean;
  average?: boolean;
  causal?: boolean;
  padding?: boolean;
  masks?: boolean;
  headMasks?: boolean;
  options?: nn.TransformerEncoderLayerOptions;
  count?: number;
}

const [E, H] = [8, 2];
// Float64 repeats PyTorch's sums in another order.
const TOLERANCE = { atol: 1e-11, rtol: 1e-11 };

function values(shape: number[], seed: number, device: DeviceName): Tensor {
  return tensor(sequence(sizeOf(shape), seed), { shape, device });
}

/** Fills a module as the generator does, and makes it float64: parameters are replaced. */
function fill(module: nn.Module, device: DeviceName): void {
  let seed = 20;
  for (const [, owner] of module.namedModules()) {
    for (const [name, value] of Object.entries(owner)) {
      if (!(value instanceof nn.Parameter)) continue;
      const filled = values([...value.shape], seed++, device).mul(0.5);
      Object.assign(owner, { [name]: new nn.Parameter(filled.keep()) });
    }
  }
}

function compare(test: Case, module: nn.Module, inputs: Tensor[], outputs: (Tensor | null)[]): void {
  assertEquals(Object.keys(module.stateDict()), test.keys);
  assertEquals(outputs.length, test.outputs.length);
  let total: Tensor | null = null;
  outputs.forEach((output, i) => {
    const expected = test.outputs[i];
    assertEquals(output === null, expected === null);
    if (output === null || expected === null) return;
    assertClose(output, decode(expected), TOLERANCE);
    const part = output.mul(values([...output.shape], 90 + i, output.device)).sum();
    total = total === null ? part : total.add(part);
  });
  total!.backward();
  inputs.forEach((input, i) => assertClose(input.grad!, test.inputGrads[i], TOLERANCE));
  const parameters = module.parameters();
  assertEquals(parameters.length, test.grads.length);
  parameters.forEach(({ grad }, i) => {
    const expected = test.grads[i];
    assertEquals(grad === null, expected === null);
    if (grad !== null && expected !== null) assertClose(grad, expected, TOLERANCE);
  });
}

for (const device of testDevices(import.meta.url)) {
  const padding = tensor([[0, 0, 0, 1], [0, 1, 0, 0]], { dtype: "bool", device });
  const mask = tensor(
    Array.from(sequence(12, 7), (value, i) => i % 4 > 0 && value > 0.5 ? 1 : 0),
    { shape: [3, 4], dtype: "bool", device },
  );
  const later = tensor(Array.from({ length: 16 }, (_, i) => i % 4 > Math.floor(i / 4) ? 1 : 0), {
    shape: [4, 4],
    dtype: "bool",
    device,
  });

  Deno.test(`MultiheadAttention gives PyTorch's values, gradients and keys (${device})`, async (t) => {
    assert(golden.attention.length > 0);
    for (const test of golden.attention as Case[]) {
      await t.step(test.name, () => {
        const { batchFirst = false, bias = true, kdim = E, vdim = E, weights = true, average = true } = test;
        const module = new nn.MultiheadAttention(E, H, { batchFirst, bias, kdim, vdim });
        fill(module, device);
        const shape = (length: number, dim: number): number[] => {
          if (test.unbatched) return [length, dim];
          return batchFirst ? [2, length, dim] : [length, 2, dim];
        };
        const shapes = test.same ? [shape(4, E)] : [shape(3, E), shape(4, kdim), shape(4, vdim)];
        const inputs = shapes.map((shape, i) => values(shape, 1 + i, device).requiresGrad_());
        const [query, key = query, value = key] = inputs;
        let attnMask: Tensor | null = test.masks ? mask : null;
        if (test.headMasks) attnMask = values([2 * H, 3, 4], 8, device);
        if (test.causal) attnMask = later;
        const options = {
          keyPaddingMask: test.padding ? padding : null,
          needWeights: weights,
          isCausal: test.causal ?? false,
          averageAttnWeights: average,
        };
        compare(test, module, inputs, module.forward(query, key, value, { ...options, attnMask }));
        if (!test.causal) return;
        // Without a mask the flag alone hides what is later.
        const [alone] = noGrad(() => module.forward(query, key, value, options));
        assertClose(alone, decode(test.outputs[0]!), TOLERANCE);
      });
    }
  });

  Deno.test(`encoder layers give PyTorch's values, gradients and keys (${device})`, async (t) => {
    assert(golden.layers.length > 0);
    for (const test of golden.layers as Case[]) {
      await t.step(test.name, () => {
        const layer = new nn.TransformerEncoderLayer(E, H, { dimFeedforward: 12, dropout: 0, ...test.options });
        const module = test.count === undefined
          ? layer
          : new nn.TransformerEncoder(layer, test.count, { norm: new nn.LayerNorm(E) });
        fill(module, device);
        const x = values([2, 4, E], 1, device).requiresGrad_();
        const srcKeyPaddingMask = test.padding ? padding : null;
        const inputs = { srcKeyPaddingMask, srcMask: test.causal ? later : null, isCausal: test.causal ?? false };
        compare(test, module, [x], [module.forward(x, inputs)]);
      });
    }
  });
}

Deno.test("encoder layers start as PyTorch's: Xavier for the joined projection, zero biases, and copies in an encoder", () => {
  manualSeed(0);
  const layer = new nn.TransformerEncoderLayer(64, 4);
  const weight = layer.self_attn.in_proj_weight!;
  const bound = Math.sqrt(6 / (4 * 64));
  const [largest, smallest] = [weight.max().item(), weight.min().item()];
  assert(largest <= bound && largest > 0.99 * bound && smallest >= -bound && smallest < -0.99 * bound);
  assertEquals(layer.self_attn.in_proj_bias!.abs().sum().item() + layer.self_attn.out_proj.bias!.abs().sum().item(), 0);
  const encoder = new nn.TransformerEncoder(layer, 2);
  const state = encoder.stateDict();
  assertClose(state["layers.1.linear1.weight"], Array.from(layer.linear1.weight.data(), Number));
  assert(state["layers.1.linear1.weight"] !== state["layers.0.linear1.weight"]);
});

Deno.test("fused layers and residual sums equal the same written out, gradients included", () => {
  const functions = {
    relu: (x: Tensor) => x.relu(),
    gelu: (x: Tensor) => x.gelu(),
    "gelu (tanh)": (x: Tensor) => x.gelu({ approximate: "tanh" }),
  };
  manualSeed(1);
  for (const name of ["relu", "gelu", "gelu (tanh)"] as const) {
    for (const bias of [true, false]) {
      const options = { dimFeedforward: 24, dropout: 0, batchFirst: true, normFirst: bias, bias };
      const fused = new nn.TransformerEncoderLayer(16, 4, { ...options, activation: name });
      const plain = new nn.TransformerEncoderLayer(16, 4, { ...options, activation: functions[name] });
      plain.loadStateDict(fused.stateDict());
      const x = randn([2, 5, 16]);
      const weights = randn([2, 5, 16]);
      const results = [fused, plain].map((layer) => {
        const input = x.clone().requiresGrad_();
        const out = layer.forward(input, { isCausal: true });
        out.mul(weights).sum().backward();
        return [out, input.grad!, ...layer.parameters().map(({ grad }) => grad!)];
      });
      // The same products and sums; an epilogue may contract a product and a sum that a separate pass rounds in between.
      results[0].forEach((value, i) => assertClose(value, Array.from(results[1][i].data(), Number), { atol: 2e-6 }));
    }
  }
});

Deno.test("an encoder layer drops elements in training only", () => {
  manualSeed(1);
  const x = randn([2, 3, 8]);
  const layer = new nn.TransformerEncoderLayer(8, 2, { dimFeedforward: 16, dropout: 0.5, batchFirst: true }).eval();
  const expected = Array.from(layer.forward(x).data(), Number);
  assertClose(layer.forward(x), expected);
  layer.train();
  const dropped = Array.from(layer.forward(x).data(), Number);
  assert(dropped.some((value, i) => Math.abs(value - expected[i]) > 1e-2));
});

Deno.test("MultiheadAttention refuses what does not fit", () => {
  assertThrows(() => new nn.MultiheadAttention(10, 4), RangeError, "numHeads must divide embedDim, got 4 and 10");
  assertThrows(() => new nn.MultiheadAttention(8, 4, { dropout: 2 }), RangeError, "dropout = 2: it must be in [0, 1]");
  assertThrows(
    () => new nn.TransformerEncoder(new nn.TransformerEncoderLayer(8, 2), 0),
    RangeError,
    "0 layers: it must be a positive integer",
  );
  const attention = new nn.MultiheadAttention(8, 2);
  const x = zeros([3, 2, 8]);
  assertThrows(() => attention.forward(x, zeros([3, 1, 8]), zeros([3, 1, 8])), ShapeError, "with one batch size");
  assertThrows(
    () => attention.forward(x, x, x, { attnMask: zeros([3, 3], { dtype: "int32" }) }),
    DTypeError,
    "attnMask",
  );
});
