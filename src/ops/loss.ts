/**
 * Losses whose forward and backward passes are single native calls.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { BINARY, REDUCE, UNARY } from "../../ffi/op_ids.ts";
import { dtypeId, isFloating } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { binary, contiguous, unary } from "./launch.ts";
import { reduceInto } from "./reduce.ts";

/** How the losses of the elements are combined. */
export type Reduction = "mean" | "sum" | "none";

const mseOp: Op<Reduction> = {
  name: "mseLoss",
  outputShape([a, b]) {
    if (!sameShape(a.shape, b.shape)) {
      throw new ShapeError(
        `Cannot compare ${formatShape(a.shape)} with a target of ${formatShape(b.shape)}: shapes must be equal. ` +
          `Reshape one of them`,
      );
    }
    if (a.dtype !== b.dtype || !isFloating(a.dtype)) {
      throw new DTypeError(`Cannot compute mseLoss of ${a.dtype} and ${b.dtype}: both must have one floating dtype`);
    }
    return [];
  },
  forward([x, y], reduction, _shape, node) {
    const a = contiguous(x);
    const b = contiguous(y);
    node?.save(a, b);
    const out = empty(a.storage.device, [], a.dtype, "mseLoss");
    const library = out.storage.device.library;
    const scale = reduction === "mean" ? 1 / a.size : 1;
    check(
      library.ax_mse_forward(
        dtypeId(a.dtype),
        out.storage.id,
        out.offset,
        a.storage.id,
        a.offset,
        b.storage.id,
        b.offset,
        a.size,
        scale,
      ),
      "ax_mse_forward",
      library,
    );
    return out;
  },
  vjp(node, g) {
    const [a, b] = node.saved;
    const out = empty(a.storage.device, a.shape, a.dtype, "grad");
    const library = out.storage.device.library;
    const scale = node.attrs === "mean" ? 1 / a.size : 1;
    check(
      library.ax_mse_backward(
        dtypeId(a.dtype),
        out.storage.id,
        out.offset,
        g.storage.id,
        g.offset,
        a.storage.id,
        a.offset,
        b.storage.id,
        b.offset,
        a.size,
        scale,
      ),
      "ax_mse_backward",
      library,
    );
    return [node.needs(0) ? out : null, node.needs(1) ? unary(UNARY.neg, out, "grad") : null];
  },
};

/** Mean or sum of squared differences. */
export function mse(a: Tensor, b: Tensor, reduction: "mean" | "sum"): Tensor {
  return apply(mseOp, [a, b], reduction);
}

interface CrossEntropyAttrs {
  readonly reduction: Reduction;
  readonly ignoreIndex: number;
  readonly smoothing: number;
}

const crossEntropyOp: Op<CrossEntropyAttrs> = {
  name: "crossEntropy",
  outputShape([logits, target], { reduction }) {
    if (logits.shape.length !== 2 || target.shape.length !== 1 || logits.shape[0] !== target.shape[0]) {
      throw new ShapeError(
        `Cannot compute crossEntropy of logits ${formatShape(logits.shape)} and target ${formatShape(target.shape)}: ` +
          `shapes must be (rows, classes) and (rows)`,
      );
    }
    if (!isFloating(logits.dtype) || (target.dtype !== "int32" && target.dtype !== "int64")) {
      throw new DTypeError(
        `Cannot compute crossEntropy of ${logits.dtype} and ${target.dtype}: logits must be floating, targets int32 or int64`,
      );
    }
    return reduction === "none" ? target.shape : [];
  },
  forward([x, t], { reduction, ignoreIndex, smoothing }, shape, node) {
    const logits = contiguous(x);
    const target = contiguous(t);
    const [rows, cols] = logits.shape;
    const device = logits.storage.device;
    const library = device.library;
    const losses = empty(device, [rows], logits.dtype, "crossEntropy");
    const lse = empty(device, [rows], logits.dtype, "crossEntropy");
    const dtype = dtypeId(logits.dtype);
    const targetDtype = dtypeId(target.dtype);
    check(
      library.ax_cross_entropy_forward(
        dtype,
        targetDtype,
        losses.storage.id,
        losses.offset,
        lse.storage.id,
        lse.offset,
        logits.storage.id,
        logits.offset,
        target.storage.id,
        target.offset,
        rows,
        cols,
        ignoreIndex,
        smoothing,
      ),
      "ax_cross_entropy_forward",
      library,
    );
    if (reduction === "none") {
      node?.save(logits, target, lse);
      return losses;
    }
    const out = empty(device, shape, logits.dtype, "crossEntropy");
    if (reduction === "sum") {
      node?.save(logits, target, lse);
      return reduceInto(out, REDUCE.sum, losses, [0]);
    }
    const valid = empty(device, [], logits.dtype, "crossEntropy");
    check(
      library.ax_cross_entropy_mean(
        dtype,
        targetDtype,
        out.storage.id,
        out.offset,
        valid.storage.id,
        valid.offset,
        losses.storage.id,
        losses.offset,
        target.storage.id,
        target.offset,
        rows,
        ignoreIndex,
      ),
      "ax_cross_entropy_mean",
      library,
    );
    node?.save(logits, target, lse, valid);
    return out;
  },
  vjp(node, g) {
    const [logits, target, lse, valid] = node.saved;
    const { reduction, ignoreIndex, smoothing } = node.attrs;
    const [rows, cols] = logits.shape;
    const gradient = reduction === "mean" ? binary(BINARY.div, g, valid, [], "grad") : contiguous(g);
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
        reduction === "none" ? 1 : 0,
        lse.storage.id,
        logits.storage.id,
        logits.offset,
        target.storage.id,
        target.offset,
        rows,
        cols,
        ignoreIndex,
        smoothing,
      ),
      "ax_cross_entropy_backward",
      library,
    );
    return [out, null];
  },
};

/** Cross-entropy of logits (rows, classes) with integer targets (rows). */
export function crossEntropy(logits: Tensor, target: Tensor, attrs: CrossEntropyAttrs): Tensor {
  return apply(crossEntropyOp, [logits, target], attrs);
}
