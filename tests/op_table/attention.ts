import { nn, type Tensor } from "../../mod.ts";
import { packedAttention } from "../../src/ops/attention.ts";
import { bools, floats, type Row, type Shape } from "../_support/op_table/row.ts";

const attend = nn.functional.scaledDotProductAttention;
const covers = "functional.scaledDotProductAttention";
const QKV: Shape[] = [[2, 3, 5, 8], [2, 3, 7, 8], [2, 3, 7, 6]];
// Around the sizes of tiles and vectors.
const SHAPES: Shape[][] = [
  [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]],
  [[1, 2, 13, 17], [1, 2, 19, 17], [1, 2, 19, 33]],
  [[1, 1, 7, 64], [1, 1, 65, 64], [1, 1, 65, 64]],
  [[3, 4], [5, 4], [5, 2]],
];

function inputs(...further: Row["inputs"]): Row["inputs"] {
  return [...QKV.map((shape) => floats(shape)), ...further];
}

const rows: Row[] = [
  {
    covers,
    inputs: inputs(),
    shapes: SHAPES,
    run: ([q, k, v]) => attend(q, k, v),
    torch: "F.scaled_dot_product_attention(a, b, c)",
  },
  {
    covers,
    name: "attention, causal",
    inputs: inputs(),
    shapes: SHAPES,
    run: ([q, k, v]) => attend(q, k, v, { isCausal: true }),
    torch: "F.scaled_dot_product_attention(a, b, c, is_causal=True)",
  },
  {
    covers,
    name: "attention with a bool mask and a scale",
    inputs: inputs(bools([5, 7])),
    run: ([q, k, v, mask]) => attend(q, k, v, { mask, scale: 0.25 }),
    torch: "F.scaled_dot_product_attention(a, b, c, d, scale=0.25)",
    skip: { empty: "the mask has no batch dimension that could be empty" },
  },
  {
    covers,
    name: "attention with an added mask",
    inputs: inputs(floats([2, 1, 5, 7])),
    tolerance: {
      factor: 2,
      reason:
        "for a mask that wants a gradient PyTorch keeps all probabilities; blocks take rowsum(dO * O) of the rounded output",
    },
    run: ([q, k, v, mask]) => attend(q, k, v, { mask }),
    torch: "F.scaled_dot_product_attention(a, b, c, d)",
  },
  {
    covers,
    name: "attention of heads that share keys",
    inputs: [floats([2, 4, 5, 8]), floats([2, 2, 7, 8]), floats([2, 2, 7, 8])],
    run: ([q, k, v]) => attend(q, k, v, { enableGqa: true }),
    torch: "F.scaled_dot_product_attention(a, b, c, enable_gqa=True)",
  },
  {
    covers,
    name: "attention of slices of one matrix",
    inputs: [floats([2, 5, 3, 4, 8])],
    run: ([qkv]) => {
      const part = (i: number): Tensor => qkv.select(2, i).transpose(1, 2);
      return attend(part(0), part(1), part(2), { isCausal: true }).transpose(1, 2).flatten(2);
    },
    torch: "F.scaled_dot_product_attention(*[a[:, :, i].transpose(1, 2) for i in range(3)], is_causal=True)" +
      ".transpose(1, 2).flatten(2)",
  },
  ...[true, false].map((batchFirst): Row => ({
    covers: "op:packedAttention",
    name: `attention of packed rows${batchFirst ? "" : ", length first"}`,
    inputs: [floats([2, 5, 36])],
    shapes: [[[3, 19, 24]], [[1, 1, 6]]],
    run: ([qkv]) => {
      const packed = { mask: null, isCausal: true, scale: 0.5, dropoutP: 0, heads: 2, batchFirst };
      return packedAttention(qkv, packed);
    },
    torch: `(lambda x: (lambda p: F.scaled_dot_product_attention(*p, is_causal=True, scale=0.5))` +
      `([t.unflatten(2, (2, -1)).transpose(1, 2) for t in x.chunk(3, 2)]).transpose(1, 2).flatten(2))` +
      (batchFirst ? "(a)" : "(a.transpose(0, 1)).transpose(0, 1)"),
    skip: { empty: "an empty batch is tested by scaledDotProductAttention" },
  })),
];
export default rows;
