/**
 * Losses of pairs of elements, whose forward and backward passes are single native calls.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { dtypeId, isFloating, promote } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { broadcastShapes } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./copy.ts";
import { contiguous } from "./launch.ts";
import { reshapeView } from "./raw_view.ts";
import { expand } from "./view.ts";

/** How the losses of the elements are combined. */
export type Reduction = "mean" | "sum" | "none";

const KINDS = {
  mseLoss: AX.LOSS_MSE,
  l1Loss: AX.LOSS_L1,
  smoothL1Loss: AX.LOSS_SMOOTH_L1,
  binaryCrossEntropyWithLogits: AX.LOSS_BCE_WITH_LOGITS,
  klDiv: AX.LOSS_KL_DIV,
  "klDiv (logTarget)": AX.LOSS_KL_DIV_LOG,
} as const;

/** Name of a loss of pairs. */
export type PairLossName = keyof typeof KINDS;

interface PairLossAttrs {
  readonly kind: number;
  /** The losses are summed, times `scale`; otherwise the result holds one for each element. */
  readonly sums: boolean;
  readonly scale: number;
  readonly beta: number;
}

/** Both inputs have one shape and one dtype, float32 or float64. */
const pairLossOp: Op<PairLossAttrs> = {
  name: "loss",
  outputShape: ([x], { sums }) => sums ? [] : x.shape,
  forward(inputs, { kind, sums, scale, beta }, shape, node) {
    const x = contiguous(inputs[0]);
    const y = contiguous(inputs[1]);
    node?.save(x, y);
    const out = empty(x.storage.device, shape, x.dtype, "loss");
    const library = out.storage.device.library;
    check(
      library.ax_loss_forward(
        kind,
        dtypeId(x.dtype),
        out.storage.id,
        out.offset,
        x.storage.id,
        x.offset,
        y.storage.id,
        y.offset,
        x.size,
        sums ? 1 : 0,
        scale,
        beta,
      ),
      "ax_loss_forward",
      library,
    );
    return out;
  },
  vjp(node, gradient) {
    const { kind, sums, scale, beta } = node.attrs;
    const [x, y] = node.saved;
    const g = contiguous(gradient);
    const device = x.storage.device;
    // The native call takes no offset for these: a scalar, which would lie somewhere in a slab, is computed as a vector.
    const isScalar = x.shape.length === 0;
    const shape = isScalar ? [1] : x.shape;
    const dx = node.needs(0) ? empty(device, shape, x.dtype, "grad") : null;
    const dy = node.needs(1) ? empty(device, shape, y.dtype, "grad") : null;
    const library = device.library;
    check(
      library.ax_loss_backward(
        kind,
        dtypeId(x.dtype),
        dx === null ? 0 : dx.storage.id,
        dy === null ? 0 : dy.storage.id,
        g.storage.id,
        g.offset,
        sums ? 0 : 1,
        x.storage.id,
        x.offset,
        y.storage.id,
        y.offset,
        x.size,
        sums ? scale : 1,
        beta,
      ),
      "ax_loss_backward",
      library,
    );
    if (!isScalar) return [dx, dy];
    return [dx === null ? null : reshapeView(dx, [], "grad"), dy === null ? null : reshapeView(dy, [], "grad")];
  },
};

/**
 * A loss of two tensors that are broadcast together and promoted to one dtype; 16-bit ones are computed in float32.
 *
 * @param options `divisor`: what a sum is divided by, for a mean by default the number of elements.
 * @throws {DTypeError} When neither is floating.
 * @throws {ShapeError} When shapes do not broadcast.
 */
export function pairLoss(
  name: PairLossName,
  input: Tensor,
  target: Tensor,
  { reduction, divisor, beta = 0 }: { reduction: Reduction; divisor?: number; beta?: number },
): Tensor {
  const dtype = promote(input.dtype, target.dtype);
  if (!isFloating(dtype)) {
    throw new DTypeError(
      `Cannot compute ${name} of ${input.dtype} and ${target.dtype}: one must be floating. ` +
        `Convert it with .to({ dtype: "float32" })`,
    );
  }
  const computed = dtype === "float64" ? "float64" : "float32";
  const shape = broadcastShapes(input.shape, target.shape, `compute ${name} of`);
  const x = expand(cast(input, computed), shape);
  const y = expand(cast(target, computed), shape);
  const attrs: PairLossAttrs = {
    kind: KINDS[name],
    sums: reduction !== "none",
    scale: divisor !== undefined ? 1 / divisor : reduction === "mean" ? 1 / x.size : 1,
    beta,
  };
  return cast(apply(pairLossOp, [x, y], attrs), dtype);
}
