import { nn } from "../../mod.ts";
import { bools, floats, type Row } from "../_support/op_table/row.ts";

const { scaledDotProductAttention: attention } = nn.functional;

/** Query, key and value of (batch, heads, positions, dim). */
const HEADS = [floats([2, 3, 4, 6]), floats([2, 3, 5, 6]), floats([2, 3, 5, 3])];
/** Positions around the sizes of blocks, and one of each. */
const LARGE = [[[1, 2, 70, 8], [1, 2, 67, 8], [1, 2, 67, 8]], [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]];

/** PyTorch takes another way for inputs as small as these, which keeps the weights. */
const tolerance = { factor: 2, reason: "the derivative reads the output, which was rounded to 16 bits" };

const rows: Row[] = [
  {
    covers: "functional.scaledDotProductAttention",
    inputs: HEADS,
    tolerance,
    shapes: [...LARGE, [[4, 6], [5, 6], [5, 3]], [[3, 4, 6], [3, 5, 6], [3, 5, 3]]],
    run: ([q, k, v]) => attention(q, k, v),
    torch: "F.scaled_dot_product_attention(a, b, c)",
  },
  {
    covers: "functional.scaledDotProductAttention",
    name: "attention, causal",
    inputs: [floats([2, 3, 5, 6]), floats([2, 3, 5, 6]), floats([2, 3, 5, 3])],
    tolerance,
    shapes: [LARGE[0], [[1, 1, 6, 2], [1, 1, 4, 2], [1, 1, 4, 2]]],
    run: ([q, k, v]) => attention(q, k, v, { isCausal: true }),
    torch: "F.scaled_dot_product_attention(a, b, c, is_causal=True)",
  },
  {
    covers: "functional.scaledDotProductAttention",
    name: "attention with a scale",
    inputs: HEADS,
    run: ([q, k, v]) => attention(q, k, v, { scale: 0.3 }),
    torch: "F.scaled_dot_product_attention(a, b, c, scale=0.3)",
  },
  {
    covers: "functional.scaledDotProductAttention",
    name: "attention with a bool mask",
    inputs: [...HEADS, bools([4, 5])],
    shapes: [[...LARGE[0], [70, 67]], [...HEADS.map(({ shape }) => shape), [2, 1, 1, 5]]],
    // The first key is seen by all, so that no row is empty.
    run: ([q, k, v, mask]) => {
      const open = mask.clone();
      open.narrow(-1, 0, 1).fill_(1);
      return attention(q, k, v, { mask: open });
    },
    torch: "(lambda m: (m[..., :1].fill_(True), F.scaled_dot_product_attention(a, b, c, m))[1])(d.clone())",
  },
  {
    covers: "functional.scaledDotProductAttention",
    name: "attention with a floating mask",
    inputs: [...HEADS, floats([2, 3, 4, 5])],
    tolerance,
    shapes: [[...HEADS.map(({ shape }) => shape), [4, 5]]],
    run: ([q, k, v, mask]) => attention(q, k, v, { mask }),
    torch: "F.scaled_dot_product_attention(a, b, c, d)",
  },
  {
    covers: "functional.scaledDotProductAttention",
    name: "attention of several query heads with one key head",
    inputs: [floats([2, 4, 3, 6]), floats([2, 2, 5, 6]), floats([2, 2, 5, 6])],
    run: ([q, k, v]) => attention(q, k, v, { enableGqa: true }),
    torch: "F.scaled_dot_product_attention(a, b, c, enable_gqa=True)",
  },
];

export default rows;
