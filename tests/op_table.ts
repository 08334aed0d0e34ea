/**
 * The table of operations: one row for each, from which its tests follow (tests/op_table_test.ts).
 *
 * A row gives inputs, the operation in TypeScript, and the same in PyTorch. It is tested, on every device:
 * - in float64 against PyTorch's values and gradients, and the gradient also against central differences;
 * - in float32, bfloat16 and float16 by the rule |ours - float64| <= 2 |PyTorch - float64| + one rounding, gradients included;
 * - with inputs that are strided views between NaNs, with an empty first dimension (where PyTorch refuses, so must we), and, where
 *   all inputs have one shape, with the last one broadcast;
 * - shapes and dtypes of outputs, and that no storage stays alive.
 *
 * To add a row: put it into the family's file in tests/op_table/ and make PyTorch's values (PyTorch 2.13, deno in PATH):
 *
 *     python3 tests/golden/generate_op_table.py FAMILY
 *     deno test -A tests/op_table_test.ts --filter "FAMILY: NAME"
 *
 * Gradients are those of sum(output * weights) with fixed weights. A check that does not apply is left out by `skip` with its
 * reason. Keep shapes small: a golden file holds at most 1 MB; of large outputs it holds 192 elements, and float32 is compared at
 * every element. An operation that no name exports is covered as `op:name`.
 *
 * @module
 */
import attention from "./op_table/attention.ts";
import batchNorm from "./op_table/batch_norm.ts";
import binary from "./op_table/binary.ts";
import conv from "./op_table/conv.ts";
import creation from "./op_table/creation.ts";
import einsum from "./op_table/einsum.ts";
import index from "./op_table/index.ts";
import inplace from "./op_table/inplace.ts";
import linalg from "./op_table/linalg.ts";
import loss from "./op_table/loss.ts";
import matmul from "./op_table/matmul.ts";
import norm from "./op_table/norm.ts";
import pool from "./op_table/pool.ts";
import promotion from "./op_table/promotion.ts";
import random from "./op_table/random.ts";
import reduce from "./op_table/reduce.ts";
import scan from "./op_table/scan.ts";
import softmax from "./op_table/softmax.ts";
import sort from "./op_table/sort.ts";
import unary from "./op_table/unary.ts";
import view from "./op_table/view.ts";
import type { Row } from "./_support/op_table/row.ts";

/** The rows by family; a family is a file in tests/op_table/ and one in tests/golden/op_table/. */
export const FAMILIES: Readonly<Record<string, readonly Row[]>> = {
  attention,
  batch_norm: batchNorm,
  binary,
  conv,
  creation,
  einsum,
  index,
  inplace,
  linalg,
  loss,
  matmul,
  norm,
  pool,
  promotion,
  random,
  reduce,
  scan,
  softmax,
  sort,
  unary,
  view,
};
