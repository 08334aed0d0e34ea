/**
 * Cross-entropy of logits and negative log-likelihood of log-probabilities, with the classes as integers.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { BINARY, REDUCE } from "../../ffi/op_ids.ts";
import { type DType, dtypeId, isFloating } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { binary, contiguous, copied } from "./launch.ts";
import type { Reduction } from "./loss.ts";
import { reshapeView } from "./raw_view.ts";
import { reduceInto } from "./reduce.ts";
import { permute, reshape } from "./view.ts";

/** How {@link crossEntropy} and {@link nll} are computed. */
export interface CrossEntropyAttrs {
  readonly reduction: Reduction;
  readonly ignoreIndex: number;
  readonly smoothing: number;
  /** The input holds log-probabilities. */
  readonly takesLogProbabilities: boolean;
}

/** The options of the native calls: rows, cols, ignoreIndex, smoothing, takesLogProbabilities. Reused. */
const options = new Float64Array(5);

function writeOptions(logits: Tensor, attrs: CrossEntropyAttrs): Float64Array<ArrayBuffer> {
  options[0] = logits.shape[0];
  options[1] = logits.shape[1];
  options[2] = attrs.ignoreIndex;
  options[3] = attrs.smoothing;
  options[4] = attrs.takesLogProbabilities ? 1 : 0;
  return options;
}

/** The tensor in the dtype in which losses of `dtype` are computed. */
function computed(x: Tensor, dtype: DType): Tensor {
  const wanted = dtype === "float64" ? "float64" : "float32";
  return x.dtype === wanted ? contiguous(x) : copied(x, "crossEntropy", wanted);
}

/** A result in the dtype of the logits. */
function rounded(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : copied(x, "crossEntropy", dtype);
}

function meanInto(
  out: Tensor,
  valid: Tensor,
  losses: Tensor,
  target: Tensor,
  weight: Tensor | null,
  cols: number,
  ignoreIndex: number,
): Tensor {
  const library = out.storage.device.library;
  check(
    library.ax_cross_entropy_mean(
      dtypeId(out.dtype),
      dtypeId(target.dtype),
      out.storage.id,
      out.offset,
      valid.storage.id,
      valid.offset,
      losses.storage.id,
      target.storage.id,
      target.offset,
      weight === null ? 0 : weight.storage.id,
      weight === null ? 0 : weight.offset,
      target.size,
      cols,
      ignoreIndex,
    ),
    "ax_cross_entropy_mean",
    library,
  );
  return out;
}

/** Inputs: logits (rows, classes), target (rows), and weight (classes) or nothing. */
const crossEntropyOp: Op<CrossEntropyAttrs> = {
  name: "crossEntropy",
  outputShape: ([, target], { reduction }) => reduction === "none" ? target.shape : [],
  forward(inputs, attrs, shape, node) {
    const logits = contiguous(inputs[0]);
    const target = contiguous(inputs[1]);
    const weight = inputs.length > 2 ? computed(inputs[2], logits.dtype) : null;
    const [rows, cols] = logits.shape;
    const device = logits.storage.device;
    const library = device.library;
    const dtype = logits.dtype === "float64" ? "float64" : "float32";
    const losses = empty(device, [rows], dtype, "crossEntropy");
    const lse = empty(device, [rows], dtype, "crossEntropy");
    check(
      library.ax_cross_entropy_forward(
        dtypeId(logits.dtype),
        dtypeId(target.dtype),
        losses.storage.id,
        lse.storage.id,
        logits.storage.id,
        logits.offset,
        target.storage.id,
        target.offset,
        weight === null ? 0 : weight.storage.id,
        weight === null ? 0 : weight.offset,
        writeOptions(logits, attrs),
      ),
      "ax_cross_entropy_forward",
      library,
    );
    const saved = [logits, target, lse];
    let out = losses;
    if (attrs.reduction === "sum") {
      out = reduceInto(empty(device, shape, dtype, "crossEntropy"), REDUCE.sum, losses, [0]);
    } else if (attrs.reduction === "mean") {
      const valid = empty(device, [], dtype, "crossEntropy");
      out = empty(device, shape, dtype, "crossEntropy");
      meanInto(out, valid, losses, target, weight, cols, attrs.ignoreIndex);
      saved.push(valid);
    }
    if (weight !== null) saved.push(weight);
    if (node === null) {
      lse.dispose();
      if (out !== losses) losses.dispose();
    } else {
      node.save(...saved);
    }
    return rounded(out, logits.dtype);
  },
  vjp(node, g) {
    const { attrs, saved } = node;
    const [logits, target, lse] = saved;
    const isMean = attrs.reduction === "mean";
    const weight = saved.length > (isMean ? 4 : 3) ? saved[saved.length - 1] : null;
    const upstream = computed(g, logits.dtype);
    const gradient = isMean ? binary(BINARY.div, upstream, saved[3], [], "grad") : upstream;
    const out = empty(logits.storage.device, logits.shape, logits.dtype, "grad");
    const library = out.storage.device.library;
    check(
      library.ax_cross_entropy_backward(
        dtypeId(logits.dtype),
        dtypeId(target.dtype),
        out.storage.id,
        out.offset,
        gradient.storage.id,
        gradient.offset,
        attrs.reduction === "none" ? 1 : 0,
        lse.storage.id,
        logits.storage.id,
        logits.offset,
        target.storage.id,
        target.offset,
        weight === null ? 0 : weight.storage.id,
        weight === null ? 0 : weight.offset,
        writeOptions(logits, attrs),
      ),
      "ax_cross_entropy_backward",
      library,
    );
    return weight === null ? [out, null] : [out, null, null];
  },
};

function checkOperands(name: string, logits: Tensor, target: Tensor, weight: Tensor | null): void {
  const { shape } = logits;
  const classes = shape[shape.length > 1 ? 1 : 0];
  const wanted = shape.length > 1 ? [shape[0], ...shape.slice(2)] : [];
  if (
    shape.length === 0 || target.shape.length !== wanted.length || wanted.some((size, i) => target.shape[i] !== size)
  ) {
    throw new ShapeError(
      `Cannot compute ${name} of ${formatShape(shape)} and target ${formatShape(target.shape)}: ` +
        `shapes must be (rows, classes, ...) and (rows, ...), or (classes) and ()`,
    );
  }
  if (!isFloating(logits.dtype) || (target.dtype !== "int32" && target.dtype !== "int64")) {
    throw new DTypeError(
      `Cannot compute ${name} of ${logits.dtype} and ${target.dtype}: logits must be floating, targets int32 or int64`,
    );
  }
  if (weight !== null && (weight.shape.length !== 1 || weight.shape[0] !== classes)) {
    throw new ShapeError(
      `Cannot compute ${name} with a weight of ${formatShape(weight.shape)}: it must be (${classes}), one per class`,
    );
  }
  if (weight !== null && weight.dtype !== logits.dtype) {
    throw new DTypeError(
      `Cannot compute ${name} of ${logits.dtype} with a weight of ${weight.dtype}: both must have one dtype`,
    );
  }
}

/** The loss of logits, or log-probabilities, (rows, classes, ...) with integer targets (rows, ...). */
export function crossEntropy(
  logits: Tensor,
  target: Tensor,
  weight: Tensor | null,
  attrs: CrossEntropyAttrs,
): Tensor {
  checkOperands(attrs.takesLogProbabilities ? "nllLoss" : "crossEntropy", logits, target, weight);
  const { shape } = logits;
  const others = weight === null ? [] : [weight];
  if (shape.length === 2) return apply(crossEntropyOp, [logits, target, ...others], attrs);
  // Classes become the last dimension, all others one.
  const last = shape.length === 1 ? logits : permute(logits, [0, ...shape.map((_, i) => i).slice(2), 1]);
  const rows = reshape(last, [target.size, shape[shape.length === 1 ? 0 : 1]]);
  const losses = apply(crossEntropyOp, [rows, reshapeView(target, [target.size], "target"), ...others], attrs);
  return attrs.reduction === "none" ? reshape(losses, target.shape) : losses;
}
