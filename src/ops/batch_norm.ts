/**
 * Batch normalisation, with ReLU fused.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { type DType, dtypeId, isFloating } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { type Gradient, type Node, WRITTEN } from "../core/node.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { contiguous } from "./launch.ts";

/** What batch normalisation is given besides its input. */
export interface BatchNormOptions {
  /** Mean (channels) that evaluation uses, and training moves. */
  runningMean?: Tensor | null;
  /** Unbiased variance (channels) that evaluation uses, and training moves. */
  runningVar?: Tensor | null;
  /** Factors (channels). Default: 1. */
  weight?: Tensor | null;
  /** Offsets (channels). Default: 0. */
  bias?: Tensor | null;
  /** Whether the statistics are those of the batch. Default false. */
  training?: boolean;
  /** How far the running statistics move towards those of the batch. Default 0.1. */
  momentum?: number;
  /** Added to the variance. Default 1e-5. */
  eps?: number;
}

interface BatchNormAttrs {
  readonly runningMean: Tensor | null;
  readonly runningVar: Tensor | null;
  readonly hasWeight: boolean;
  readonly hasBias: boolean;
  readonly training: boolean;
  readonly momentum: number;
  readonly eps: number;
  readonly relu: boolean;
}

const settings = new Float64Array(9);

function writeSettings(x: Tensor, { training, relu, momentum, eps }: BatchNormAttrs): void {
  const [batch, channels] = x.shape;
  settings[0] = batch;
  settings[1] = channels;
  settings[2] = channels === 0 || batch === 0 ? 0 : x.size / (batch * channels);
  settings[3] = training ? 1 : 0;
  settings[4] = relu ? 1 : 0;
  settings[5] = momentum;
  settings[6] = eps;
}

function checkVector(name: string, values: Tensor, channels: number, dtype: DType): void {
  if (values.shape.length !== 1 || values.shape[0] !== channels) {
    throw new ShapeError(
      `Cannot normalise ${channels} channels: ${name} must be (${channels}), got ${formatShape(values.shape)}`,
    );
  }
  if (values.dtype !== dtype) {
    throw new DTypeError(`Cannot normalise ${dtype} with a ${name} of ${values.dtype}: dtypes must be equal`);
  }
}

/** They are changed in place. */
function checkRunning(name: string, values: Tensor, channels: number, dtype: DType): void {
  checkVector(name, values, channels, dtype);
  if (!values.isContiguous) throw new ShapeError(`Cannot normalise with a ${name} that is not contiguous: copy it`);
}

const batchNormOp: Op<BatchNormAttrs> = {
  name: "batchNorm",
  outputShape([x, first, second], { runningMean, runningVar, hasWeight, training }) {
    if (x.shape.length < 2) {
      throw new ShapeError(`Cannot normalise ${formatShape(x.shape)}: its shape must be (batch, channels, ...)`);
    }
    if (!isFloating(x.dtype)) throw new DTypeError(`Cannot normalise ${x.dtype}: the input must be floating`);
    const channels = x.shape[1];
    if (first !== undefined) checkVector(hasWeight ? "weight" : "bias", first, channels, x.dtype);
    if (second !== undefined) checkVector("bias", second, channels, x.dtype);
    if (runningMean !== null) checkRunning("running mean", runningMean, channels, x.dtype);
    if (runningVar !== null) checkRunning("running variance", runningVar, channels, x.dtype);
    if (training && x.size === channels) {
      throw new ShapeError(
        `Cannot normalise ${formatShape(x.shape)} in training: expected more than 1 value per channel. ` +
          `Use a larger batch, or eval()`,
      );
    }
    return x.shape;
  },
  forward([input, first, second], attrs, shape, node) {
    const { runningMean, runningVar, hasWeight, hasBias } = attrs;
    const x = contiguous(input);
    const weight = hasWeight ? contiguous(first) : null;
    const bias = hasBias ? contiguous(hasWeight ? second : first) : null;
    const device = x.storage.device;
    const out = empty(device, shape, x.dtype, "batchNorm");
    const statistics = empty(device, [2, shape[1]], x.dtype === "float64" ? "float64" : "float32", "batchNorm");
    const library = device.library;
    writeSettings(x, attrs);
    check(
      library.ax_batch_norm_forward(
        dtypeId(x.dtype),
        out.storage.id,
        out.offset,
        statistics.storage.id,
        runningMean === null ? 0 : runningMean.storage.id,
        runningMean === null ? 0 : runningMean.offset,
        runningVar === null ? 0 : runningVar.storage.id,
        runningVar === null ? 0 : runningVar.offset,
        x.storage.id,
        x.offset,
        weight === null ? 0 : weight.storage.id,
        weight === null ? 0 : weight.offset,
        bias === null ? 0 : bias.storage.id,
        bias === null ? 0 : bias.offset,
        settings,
      ),
      "ax_batch_norm_forward",
      library,
    );
    if (node !== null) {
      const saved = weight === null ? [x, statistics] : [x, statistics, weight];
      node.save(...saved, ...(attrs.relu ? [out] : []));
    }
    return out;
  },
  vjp(node, gradient): Gradient[] {
    const { attrs } = node;
    const { hasWeight, hasBias } = attrs;
    const [x, statistics] = node.saved;
    const weight = hasWeight ? node.saved[2] : null;
    const mask = attrs.relu ? node.saved[hasWeight ? 3 : 2] : null;
    const g = contiguous(gradient);
    const device = g.storage.device;
    const out = node.needs(0) || mask !== null ? empty(device, x.shape, g.dtype, "grad") : null;
    const weightPlace = placeOf(node, hasWeight ? 1 : 0, g);
    const biasPlace = placeOf(node, hasBias ? (hasWeight ? 2 : 1) : 0, g);
    const library = device.library;
    writeSettings(x, attrs);
    settings[7] = weightPlace.beta;
    settings[8] = biasPlace.beta;
    check(
      library.ax_batch_norm_backward(
        dtypeId(g.dtype),
        out === null ? 0 : out.storage.id,
        out === null ? 0 : out.offset,
        weightPlace.out === null ? 0 : weightPlace.out.storage.id,
        weightPlace.out === null ? 0 : weightPlace.out.offset,
        biasPlace.out === null ? 0 : biasPlace.out.storage.id,
        biasPlace.out === null ? 0 : biasPlace.out.offset,
        g.storage.id,
        g.offset,
        x.storage.id,
        x.offset,
        mask === null ? 0 : mask.storage.id,
        weight === null ? 0 : weight.storage.id,
        weight === null ? 0 : weight.offset,
        statistics.storage.id,
        settings,
      ),
      "ax_batch_norm_backward",
      library,
    );
    const gradients: Gradient[] = [node.needs(0) ? out : null];
    if (hasWeight) gradients.push(weightPlace.isSink ? WRITTEN : weightPlace.out);
    if (hasBias) gradients.push(biasPlace.isSink ? WRITTEN : biasPlace.out);
    return gradients;
  },
};

/** Where the gradient of a parameter goes. */
interface Place {
  readonly out: Tensor | null;
  readonly isSink: boolean;
  readonly beta: number;
}

const NOWHERE: Place = { out: null, isSink: false, beta: 0 };

/** For input `index`, where 0 stands for a parameter that there is none. */
function placeOf(node: Node, index: number, g: Tensor): Place {
  if (index === 0 || !node.needs(index)) return NOWHERE;
  const sink = node.sink(index);
  if (sink !== null && sink.dtype === g.dtype) return { out: sink, isSink: true, beta: node.sinkBeta(index) };
  return { out: empty(g.storage.device, node.inputShapes[index], g.dtype, "grad"), isSink: false, beta: 0 };
}

/** Normalises each channel of (batch, channels, ...), then applies ReLU if wanted. See `nn.functional.batchNorm`. */
export function batchNorm(
  x: Tensor,
  {
    runningMean = null,
    runningVar = null,
    weight = null,
    bias = null,
    training = false,
    momentum = 0.1,
    eps = 1e-5,
  }: BatchNormOptions,
  relu = false,
): Tensor {
  if (!training && (runningMean === null || runningVar === null)) {
    throw new RangeError("Cannot normalise: evaluation needs runningMean and runningVar; pass them, or training: true");
  }
  const inputs = [x];
  if (weight !== null) inputs.push(weight);
  if (bias !== null) inputs.push(bias);
  return apply(batchNormOp, inputs, {
    runningMean,
    runningVar,
    hasWeight: weight !== null,
    hasBias: bias !== null,
    training,
    momentum,
    eps,
    relu,
  });
}
