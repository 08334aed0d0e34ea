/**
 * Mixed precision: a region in which products run in 16 bits, and what needs the range of float32 runs in float32.
 *
 * @module
 */
import { type DType, isFloating } from "./core/dtype.ts";
import { DTypeError } from "./core/errors.ts";
import { applyAsIs, type Autocast, currentAutocast, isGradEnabled, type Op, withAutocast } from "./core/op.ts";
import { withScope } from "./core/scope.ts";
import { cast } from "./ops/copy.ts";
import type { Tensor } from "./tensor.ts";

/** The dtypes in which products may run. */
export type AutocastDType = "bfloat16" | "float16";

/** Options of {@link autocast}. */
export interface AutocastOptions {
  /** Default `"bfloat16"`. */
  dtype?: AutocastDType;
  /** False: operations inside run as they are, also within another region. Default true. */
  enabled?: boolean;
}

/** Operations that run in the region's dtype: products, whose sums are float32 anyway. Names are those of Op. */
const LOW: ReadonlySet<string> = new Set([
  "matmul",
  "linear",
  "linearResidual",
  "feedForward",
  "convolution",
  "scaledDotProductAttention",
  "packedAttention",
]);

/** Operations that run in float32 and give float32: PyTorch's list for GPUs, of what exists here. */
const WIDE: ReadonlySet<string> = new Set([
  ...["pow", "rdiv", "reciprocal", "rsqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p"],
  ...["acos", "asin", "cosh", "sinh", "tan", "sum", "prod", "cumsum", "cumprod", "norm"],
  ...["softmax", "logSoftmax", "logsumexp", "layerNorm", "rmsNorm", "loss", "crossEntropy", "nllLoss"],
]);

/** Operations that run in float32 where their parameters are, and give the dtype of their input, as PyTorch's do. */
const WIDE_INSIDE: ReadonlySet<string> = new Set(["batchNorm"]);

interface CachedCast {
  readonly low: Tensor;
  /** Reading of the clock at the last change of the parameter. */
  readonly changedAt: number;
  readonly isRecorded: boolean;
}

const isCastable = (x: Tensor): boolean => isFloating(x.dtype) && x.dtype !== "float64";

class Region implements Autocast {
  readonly dtype: AutocastDType;
  /** Parameters in 16 bits, so that a layer that is used twice converts its weight once. */
  readonly #cache = new Map<Tensor, CachedCast>();
  #isOpen = true;

  constructor(dtype: AutocastDType) {
    this.dtype = dtype;
  }

  run<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor {
    if (LOW.has(op.name)) return applyAsIs(op, inputs.map((x) => this.#low(x)), attrs);
    if (WIDE.has(op.name)) return applyAsIs(op, inputs.map(wide), attrs);
    if (WIDE_INSIDE.has(op.name)) {
      return withAutocast(null, () => cast(applyAsIs(op, inputs.map(wide), attrs), inputs[0].dtype));
    }
    return applyAsIs(op, inputs, attrs);
  }

  #low(x: Tensor): Tensor {
    if (!isCastable(x) || x.dtype === this.dtype) return x;
    const isParameter = x.isLeaf && x.requiresGrad && x.viewed === null;
    if (!isParameter || !this.#isOpen) return withAutocast(null, () => cast(x, this.dtype));
    const known = this.#cache.get(x);
    const { changedAt } = x.storage;
    if (known !== undefined && known.changedAt === changedAt && known.isRecorded === isGradEnabled()) return known.low;
    known?.low.dispose();
    // Outside of the scopes of modules, which end before the region does.
    const low = withAutocast(null, () => withScope(undefined, () => cast(x, this.dtype)));
    this.#cache.set(x, { low, changedAt, isRecorded: isGradEnabled() });
    return low;
  }

  close(): void {
    this.#isOpen = false;
    for (const { low } of this.#cache.values()) low.dispose();
    this.#cache.clear();
  }
}

function wide(x: Tensor): Tensor {
  return isCastable(x) && x.dtype !== "float32" ? withAutocast(null, () => cast(x, "float32")) : x;
}

/** The dtype in which products run now, or null outside of {@link autocast}. */
export function autocastDType(): AutocastDType | null {
  const current = currentAutocast();
  return current instanceof Region ? current.dtype : null;
}

/**
 * Runs a function in mixed precision, as `torch.autocast`: matrix products, convolutions and attention take their operands in 16 bits,
 * exponentials, sums, norms, softmax and losses in float32, everything else as its operands are. Parameters and their gradients keep their
 * dtype. float64 is left alone. Backward runs in the dtypes of the forward pass; call it outside or inside.
 *
 * @param fn Synchronous.
 * @param options See {@link AutocastOptions}.
 * @throws {DTypeError} When `dtype` is not one of 16 bits.
 * @throws {TypeError} When the function returns a promise: what it does later would not be in the region.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { autocast, nn, ones } from "../mod.ts";
 * const layer = new nn.Linear(4, 2);
 * const y = autocast(() => layer.forward(ones([3, 4])));
 * y.sum().backward();
 * assertEquals([y.dtype, layer.weight.grad!.dtype], ["bfloat16", "float32"]);
 * ```
 */
export function autocast<T>(fn: () => T, { dtype = "bfloat16", enabled = true }: AutocastOptions = {}): T {
  if (dtype as DType !== "bfloat16" && dtype as DType !== "float16") {
    throw new DTypeError(`Cannot autocast to ${dtype}: products run in "bfloat16" or "float16"`);
  }
  const region = enabled ? new Region(dtype) : null;
  try {
    const result = withAutocast(region, fn);
    if (result instanceof Promise) {
      throw new TypeError("Cannot autocast an async function: await first, and call autocast() around what computes");
    }
    return result;
  } finally {
    region?.close();
  }
}
