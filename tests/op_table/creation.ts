import { arange, full, ones, zeros } from "../../mod.ts";
import type { Row } from "../_support/op_table/row.ts";

const rows: Row[] = [
  {
    covers: "zeros",
    inputs: [],
    run: (_, context) => [zeros([2, 3], context), zeros([], context), zeros([0, 2], context)],
    torch: "(torch.zeros(2, 3, dtype=dtype), torch.zeros((), dtype=dtype), torch.zeros(0, 2, dtype=dtype))",
  },
  {
    covers: "ones",
    inputs: [],
    run: (_, context) => ones([2, 3], context),
    torch: "torch.ones(2, 3, dtype=dtype)",
  },
  {
    covers: "full",
    inputs: [],
    run: (_, context) => [full([2, 3], 1.7, context), full([], -0.3, context)],
    torch: "(torch.full((2, 3), 1.7, dtype=dtype), torch.full((), -0.3, dtype=dtype))",
  },
  {
    covers: "arange",
    inputs: [],
    run: (_, { device, dtype }) => [arange(7, { device }), arange(0, { device }), arange(300, { device, dtype })],
    torch: "(torch.arange(7), torch.arange(0), torch.arange(300, dtype=dtype))",
  },
];

export default rows;
