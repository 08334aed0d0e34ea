/**
 * Layer normalisation and root-mean-square normalisation over the last dimensions.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { REDUCE } from "../../ffi/op_ids.ts";
import { type DType, dtypeId, isFloating } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { type Gradient, type Node, WRITTEN } from "../core/node.ts";
import { apply, empty, type Op, viewOf } from "../core/op.ts";
import { formatShape, sameShape, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { contiguous, copied } from "./launch.ts";
import { reshapeView } from "./raw_view.ts";
import { reduceInto } from "./reduce.ts";

interface NormAttrs {
  readonly kind: number;
  readonly eps: number;
  readonly normalizedShape: Shape;
  /** Which input is the bias; the weight is input 1 unless the bias is. 0: no bias. */
  readonly biasInput: number;
}

/** float64 for float64, else float32: what statistics and sums are kept in. */
function computeDtype(dtype: DType): DType {
  return dtype === "float64" ? "float64" : "float32";
}

function nameOf(kind: number): string {
  return kind === AX.LAYER_NORM ? "layerNorm" : "rmsNorm";
}

const ROWS: readonly number[] = [0];

/** The gradient of a parameter from the partial sums of its splits. */
function parameterGradient(node: Node<NormAttrs>, input: number, sums: Tensor, part: number, dtype: DType): Gradient {
  const { normalizedShape } = node.attrs;
  const cols = sizeOf(normalizedShape);
  const splits = sums.shape[1];
  const rows = viewOf(sums, [splits, cols], [cols, 1], part * splits * cols, "grad");
  const sink = sums.dtype === dtype ? node.sink(input) : null;
  if (sink !== null && sink.dtype === dtype) {
    reduceInto(sink, REDUCE.sum, rows, ROWS, 1, node.sinkBeta(input));
    return WRITTEN;
  }
  const flat = reduceInto(empty(sums.storage.device, [cols], sums.dtype, "grad"), REDUCE.sum, rows, ROWS);
  return reshapeView(sums.dtype === dtype ? flat : copied(flat, "grad", dtype), normalizedShape, "grad");
}

const normOp: Op<NormAttrs> = {
  name: "norm",
  outputShape(inputs, { kind, normalizedShape }) {
    const [x] = inputs;
    const name = nameOf(kind);
    const lead = x.shape.length - normalizedShape.length;
    if (normalizedShape.length === 0 || lead < 0 || normalizedShape.some((size, i) => x.shape[lead + i] !== size)) {
      throw new ShapeError(
        `Cannot compute ${name} of ${formatShape(x.shape)} over ${formatShape(normalizedShape)}: ` +
          `normalizedShape must be the last dimensions of the input`,
      );
    }
    for (let i = 0; i < inputs.length; i++) {
      if (!isFloating(inputs[i].dtype) || inputs[i].dtype !== x.dtype) {
        throw new DTypeError(
          `Cannot compute ${name} of ${x.dtype} with a parameter of ${inputs[i].dtype}: ` +
            `all must have one floating dtype`,
        );
      }
      if (i > 0 && !sameShape(inputs[i].shape, normalizedShape)) {
        throw new ShapeError(
          `Cannot compute ${name} over ${formatShape(normalizedShape)} with a parameter of ` +
            `${formatShape(inputs[i].shape)}: weight and bias must have the normalized shape`,
        );
      }
    }
    return x.shape;
  },
  forward(inputs, { kind, eps, normalizedShape, biasInput }, shape, node) {
    const x = contiguous(inputs[0]);
    const weight = inputs.length > 1 && biasInput !== 1 ? contiguous(inputs[1]) : null;
    const bias = biasInput > 0 ? contiguous(inputs[biasInput]) : null;
    const device = x.storage.device;
    const cols = sizeOf(normalizedShape);
    const rows = cols === 0 ? 0 : x.size / cols;
    const out = empty(device, shape, x.dtype, nameOf(kind));
    const stats = empty(device, [kind === AX.LAYER_NORM ? 2 * rows : rows], computeDtype(x.dtype), nameOf(kind));
    const library = device.library;
    check(
      library.ax_norm_forward(
        kind,
        dtypeId(x.dtype),
        out.storage.id,
        out.offset,
        stats.storage.id,
        x.storage.id,
        x.offset,
        weight === null ? 0 : weight.storage.id,
        weight === null ? 0 : weight.offset,
        bias === null ? 0 : bias.storage.id,
        bias === null ? 0 : bias.offset,
        rows,
        cols,
        eps,
      ),
      "ax_norm_forward",
      library,
    );
    if (node === null) stats.dispose();
    else if (weight === null) node.save(x, stats);
    else node.save(x, stats, weight);
    return out;
  },
  vjp(node, gradient) {
    const { kind, normalizedShape, biasInput } = node.attrs;
    const [x, stats, weight] = node.saved;
    const g = contiguous(gradient);
    const device = x.storage.device;
    const cols = sizeOf(normalizedShape);
    const rows = cols === 0 ? 0 : x.size / cols;
    const weightInput = weight === undefined ? 0 : 1;
    const needsWeight = weightInput > 0 && node.needs(weightInput);
    const needsBias = biasInput > 0 && node.needs(biasInput);
    // Each split sums its rows for the parameters. Their number does not depend on the threads, so neither do the sums.
    const most = device.type === "cpu" ? 16 : 512;
    const splits = Math.max(1, Math.min(most, Math.ceil(rows / 8)));
    const parts = kind === AX.LAYER_NORM ? 2 : 1;
    const out = node.needs(0) ? empty(device, x.shape, x.dtype, "grad") : null;
    const sums = needsWeight || needsBias ? empty(device, [parts, splits, cols], computeDtype(x.dtype), "grad") : null;
    const library = device.library;
    check(
      library.ax_norm_backward(
        kind,
        dtypeId(x.dtype),
        out === null ? 0 : out.storage.id,
        out === null ? 0 : out.offset,
        sums === null ? 0 : sums.storage.id,
        g.storage.id,
        g.offset,
        x.storage.id,
        x.offset,
        weight === undefined ? 0 : weight.storage.id,
        weight === undefined ? 0 : weight.offset,
        stats.storage.id,
        rows,
        cols,
        splits,
      ),
      "ax_norm_backward",
      library,
    );
    const gradients: Gradient[] = [out];
    if (weightInput > 0) gradients.push(needsWeight ? parameterGradient(node, 1, sums!, 0, x.dtype) : null);
    if (biasInput > 0) gradients.push(needsBias ? parameterGradient(node, biasInput, sums!, 1, x.dtype) : null);
    return gradients;
  },
};

/** (x - mean) / sqrt(variance + eps) * weight + bias over the last dimensions. */
export function layerNorm(
  x: Tensor,
  normalizedShape: Shape,
  weight: Tensor | null,
  bias: Tensor | null,
  eps: number,
): Tensor {
  const inputs = [x];
  if (weight !== null) inputs.push(weight);
  if (bias !== null) inputs.push(bias);
  return apply(normOp, inputs, {
    kind: AX.LAYER_NORM,
    eps,
    normalizedShape,
    biasInput: bias === null ? 0 : inputs.length - 1,
  });
}

/** x / sqrt(mean(x^2) + eps) * weight over the last dimensions. Without `eps` it is that of the dtype it computes in. */
export function rmsNorm(x: Tensor, normalizedShape: Shape, weight: Tensor | null, eps: number | null): Tensor {
  return apply(normOp, weight === null ? [x] : [x, weight], {
    kind: AX.RMS_NORM,
    eps: eps ?? (x.dtype === "float64" ? 2 ** -52 : 2 ** -23),
    normalizedShape,
    biasInput: 0,
  });
}
