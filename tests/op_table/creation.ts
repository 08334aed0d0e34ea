import {
  arange,
  emptyLike,
  eye,
  full,
  fullLike,
  linspace,
  logspace,
  meshgrid,
  ones,
  onesLike,
  zeros,
  zerosLike,
} from "../../mod.ts";
import { floats, type Row } from "../_support/op_table/row.ts";

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
  {
    covers: "arange",
    name: "arange from a start by steps",
    inputs: [],
    run: (_, { device, dtype }) => [
      arange(10, { start: 4, step: 3, device }),
      arange(-5, { step: -2, device }),
      arange(1, { step: 0.25, device }),
      arange(2, { start: 0.5, step: 0.5, device, dtype }),
      arange(5, { device, dtype: "uint8" }),
    ],
    torch:
      "(torch.arange(4, 10, 3), torch.arange(0, -5, -2), torch.arange(0, 1, 0.25), torch.arange(0.5, 2, 0.5, dtype=dtype), torch.arange(5, dtype=torch.uint8))",
  },
  {
    covers: ["linspace", "logspace"],
    name: "linspace",
    inputs: [],
    run: (_, context) => [
      linspace(-1, 2, 7, context),
      linspace(3, 3, 1, context),
      linspace(0, 1, 0, context),
      logspace(-1, 2, 4, context),
      logspace(0, 3, 4, { ...context, base: 2 }),
    ],
    torch:
      "(torch.linspace(-1, 2, 7, dtype=dtype), torch.linspace(3, 3, 1, dtype=dtype), torch.linspace(0, 1, 0, dtype=dtype), torch.logspace(-1, 2, 4, dtype=dtype), torch.logspace(0, 3, 4, base=2, dtype=dtype))",
    skip: { lowPrecision: "PyTorch computes the steps in the dtype, here they are rounded once" },
  },
  {
    covers: "eye",
    inputs: [],
    run: (_, context) => [eye(3, context), eye(2, { ...context, m: 4 }), eye(4, { ...context, m: 2 }), eye(0, context)],
    torch:
      "(torch.eye(3, dtype=dtype), torch.eye(2, 4, dtype=dtype), torch.eye(4, 2, dtype=dtype), torch.eye(0, dtype=dtype))",
  },
  {
    covers: ["zerosLike", "onesLike", "fullLike", "emptyLike"],
    name: "tensors like another",
    inputs: [floats([2, 3])],
    run: (
      [x],
    ) => [zerosLike(x), onesLike(x), fullLike(x, 2.5), onesLike(x, { dtype: "int32" }), emptyLike(x).mul(0).nanToNum()],
    torch:
      "(torch.zeros_like(a), torch.ones_like(a), torch.full_like(a, 2.5), torch.ones_like(a, dtype=torch.int32), torch.zeros_like(a))",
  },
  {
    covers: "meshgrid",
    inputs: [floats([3]), floats([4]), floats([2])],
    run: (list) => [...meshgrid(list), ...meshgrid(list, { indexing: "xy" })],
    torch: '(*torch.meshgrid(a, b, c, indexing="ij"), *torch.meshgrid(a, b, c, indexing="xy"))',
  },
];

export default rows;
