/**
 * The native matrix product without recording: how operands lie in memory, and the one call.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { dtypeId } from "../core/dtype.ts";
import { type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { contiguous } from "./launch.ts";
import { expandView } from "./raw_view.ts";

/** Which operand of a product is transposed. */
export const NN = 0;
export const NT = 1;
export const TN = 2;

/** Sizes and strides of the next product, in the order of `shape` in accelerate.h. */
const product = new Int32Array(13);

// Where `product` describes an operand: these plus 0 for a, plus 1 for b.
const TRANSPOSED = 4;
const LEADING = 6;
const BATCH_STRIDE = 9;

const ALLOW_TF32 = 12;

/** How float32 matrices are multiplied on a GPU, see {@link setFloat32MatmulPrecision}. */
export type Float32MatmulPrecision = "highest" | "high" | "medium";

let precision: Float32MatmulPrecision = "highest";

/**
 * Chooses how float32 matrices are multiplied on a GPU, for the whole process and from the next operation on. `"highest"`, the default, keeps
 * all 24 bits of float32. With `"high"` and `"medium"` the tensor cores multiply operands rounded to tf32, which has float32's range and 11
 * significant bits; sums stay in float32. Other dtypes, convolutions and the CPU are not concerned. PyTorch's `torch.set_float32_matmul_precision`; there
 * `"medium"` may use bfloat16, here it is the same as `"high"`.
 *
 * @throws {RangeError} When the precision is none of the three.
 *
 * @example
 * ```ts
 * import { getFloat32MatmulPrecision, setFloat32MatmulPrecision } from "../../mod.ts";
 *
 * setFloat32MatmulPrecision("high");
 * console.assert(getFloat32MatmulPrecision() === "high");
 * setFloat32MatmulPrecision("highest");
 * ```
 */
export function setFloat32MatmulPrecision(value: Float32MatmulPrecision): void {
  if (value !== "highest" && value !== "high" && value !== "medium") {
    throw new RangeError(
      `Cannot set the precision of float32 products to "${value}": it must be "highest", "high" or "medium"`,
    );
  }
  precision = value;
  product[ALLOW_TF32] = value === "highest" ? 0 : 1;
}

/** The precision that {@link setFloat32MatmulPrecision} has chosen. PyTorch's `torch.get_float32_matmul_precision`. */
export function getFloat32MatmulPrecision(): Float32MatmulPrecision {
  return precision;
}

function writeSizes(batch: number, m: number, n: number, k: number): void {
  product[0] = batch;
  product[1] = m;
  product[2] = n;
  product[3] = k;
  product[8] = n;
  product[11] = m * n;
}

function describe(side: number, transposed: boolean, leading: number, batchStride: number): void {
  product[TRANSPOSED + side] = transposed ? 1 : 0;
  product[LEADING + side] = leading;
  product[BATCH_STRIDE + side] = batchStride;
}

/** Distance between the matrices of a batch, or -1 when it is not the same for all. */
function batchStrideOf({ shape, strides }: Tensor): number {
  let stride = 0;
  let count = 1;
  for (let i = shape.length - 3; i >= 0; i--) {
    if (shape[i] === 1) continue;
    if (count === 1) stride = strides[i];
    else if (strides[i] !== stride * count) return -1;
    count *= shape[i];
  }
  return stride;
}

/**
 * Describes the matrices in the last two dimensions of an operand, and whether the product wants their transpose. Matrices whose
 * rows or columns are contiguous are taken as they lie; of others a copy is returned.
 */
function placeMatrices(x: Tensor, side: number, transposed: boolean): Tensor {
  const { shape, strides } = x;
  const dim = shape.length;
  const rows = shape[dim - 2];
  const cols = shape[dim - 1];
  const rowStride = rows === 1 ? cols : strides[dim - 2];
  const colStride = cols === 1 ? rows : strides[dim - 1];
  const batchStride = dim === 2 ? 0 : batchStrideOf(x);
  if (batchStride >= 0 && rowStride >= cols && (colStride === 1 || cols === 1)) {
    describe(side, transposed, rowStride, batchStride);
    return x;
  }
  if (batchStride >= 0 && colStride >= rows && (rowStride === 1 || rows === 1)) {
    describe(side, !transposed, colStride, batchStride);
    return x;
  }
  describe(side, transposed, cols, rows * cols);
  return contiguous(x);
}

/** Describes an operand as the one matrix of all its rows. */
function placeRows(x: Tensor, side: number, transposed: boolean): Tensor {
  if (x.shape.length === 2) return placeMatrices(x, side, transposed);
  describe(side, transposed, x.shape[x.shape.length - 1], 0);
  return contiguous(x);
}

function launch(
  out: Tensor,
  a: Tensor,
  b: Tensor,
  epilogue: number,
  bias: Tensor | null,
  aux: Tensor | null,
  beta: number,
): Tensor {
  const library = out.storage.device.library;
  check(
    library.ax_matmul(
      dtypeId(out.dtype),
      out.storage.id,
      out.offset,
      a.storage.id,
      a.offset,
      b.storage.id,
      b.offset,
      bias === null ? 0 : bias.storage.id,
      bias === null ? 0 : bias.offset,
      aux === null ? 0 : aux.storage.id,
      aux === null ? 0 : aux.offset,
      product,
      epilogue,
      1,
      beta,
    ),
    "ax_matmul",
    library,
  );
  return out;
}

/** out = epilogue(a b + beta * out). `out` is contiguous; operands of more than two dimensions are read as the matrix of all their rows. */
export function productInto(
  out: Tensor,
  a: Tensor,
  b: Tensor,
  layout: number,
  beta = 0,
  epilogue: number = AX.EPILOGUE_NONE,
  bias: Tensor | null = null,
  aux: Tensor | null = null,
): Tensor {
  const left = placeRows(a, 0, layout === TN);
  const right = placeRows(b, 1, layout === NT);
  const n = layout === NT ? rowsOf(b) : b.shape[b.shape.length - 1];
  const k = layout === TN ? rowsOf(a) : a.shape[a.shape.length - 1];
  writeSizes(1, layout === TN ? a.shape[a.shape.length - 1] : rowsOf(a), n, k);
  return launch(out, left, right, epilogue, bias, aux, beta);
}

/** The number of rows of all matrices of a tensor. */
function rowsOf({ shape }: Tensor): number {
  let rows = 1;
  for (let i = shape.length - 2; i >= 0; i--) rows *= shape[i];
  return rows;
}

/** out = a b for each matrix of a batch whose dimensions broadcast; `out` is contiguous. */
export function batchedProductInto(out: Tensor, a: Tensor, b: Tensor, layout: number): Tensor {
  const lead = out.shape.slice(0, -2);
  const left = placeMatrices(spread(a, lead), 0, layout === TN);
  const right = placeMatrices(spread(b, lead), 1, layout === NT);
  const [m, n] = out.shape.slice(-2);
  writeSizes(sizeOf(lead), m, n, a.shape[a.shape.length - (layout === TN ? 2 : 1)]);
  return launch(out, left, right, AX.EPILOGUE_NONE, null, null, 0);
}

function spread(x: Tensor, lead: Shape): Tensor {
  return expandView(x, [...lead, ...x.shape.slice(-2)], "matmul");
}
