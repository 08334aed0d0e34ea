/**
 * Convolution in one and two directions, with bias and ReLU fused. One direction is two with a height of 1.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { dtypeId } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { type Gradient, type Node, WRITTEN } from "../core/node.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { formatShape, type Shape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { contiguous } from "./launch.ts";
import { type Directions, heightOf, type Planes, planesOf, type Sizes, sizesOf, widthOf } from "./planes.ts";

/** What a convolution is given besides its operands. */
export interface ConvolutionOptions {
  /** Step between outputs. Default 1. */
  stride?: number | readonly number[];
  /**
   * Zeros around the input; `"same"` keeps its size, with the odd one behind, and needs a stride of 1; `"valid"` is 0.
   * Default 0.
   */
  padding?: number | readonly number[] | "same" | "valid";
  /** Distance between the taps of the kernel. Default 1. */
  dilation?: number | readonly number[];
  /** Parts of the channels that are convolved each by itself. Default 1. */
  groups?: number;
}

/** Checked options by direction. */
export interface ConvolutionAttrs {
  readonly directions: Directions;
  readonly stride: Sizes;
  readonly padding: Sizes | "same";
  readonly dilation: Sizes;
  readonly groups: number;
  readonly relu: boolean;
}

const geometry = new Int32Array(16);

/** Zeros before and behind one direction. */
function paddings({ padding, dilation }: ConvolutionAttrs, kernel: number, direction: number): [number, number] {
  if (padding !== "same") return [padding[direction], padding[direction]];
  const total = dilation[direction] * (kernel - 1);
  const before = Math.floor(total / 2);
  return [before, total - before];
}

function checkOperands(x: Tensor, weight: Tensor, bias: Tensor | undefined, attrs: ConvolutionAttrs): Planes {
  const { directions, groups } = attrs;
  const planes = planesOf(x, directions, "convolve");
  if (weight.shape.length !== directions + 2 || weight.shape.includes(0)) {
    const kernel = directions === 1 ? "length" : "height, width";
    throw new ShapeError(
      `Cannot convolve with a weight of ${formatShape(weight.shape)}: its shape must be ` +
        `(out channels, in channels / groups, ${kernel}), without empty dimensions`,
    );
  }
  if (planes.channels !== weight.shape[1] * groups) {
    throw new ShapeError(
      `Cannot convolve ${formatShape(x.shape)} with a weight of ${formatShape(weight.shape)} in ${groups} group(s): ` +
        `the input must have ${weight.shape[1] * groups} channels, got ${planes.channels}`,
    );
  }
  if (weight.shape[0] % groups !== 0) {
    throw new ShapeError(`Cannot convolve in ${groups} groups: they must divide the ${weight.shape[0]} out channels`);
  }
  if (bias !== undefined && (bias.shape.length !== 1 || bias.shape[0] !== weight.shape[0])) {
    throw new ShapeError(`Cannot add a bias of ${formatShape(bias.shape)}: its shape must be (${weight.shape[0]})`);
  }
  if (x.dtype !== weight.dtype || (bias !== undefined && bias.dtype !== x.dtype)) {
    throw new DTypeError(
      `Cannot convolve ${x.dtype} with a weight of ${weight.dtype}: convert the input with .to({ dtype: "${weight.dtype}" })`,
    );
  }
  return planes;
}

function outputSize(input: number, kernel: number, attrs: ConvolutionAttrs, direction: number): number {
  const [before, behind] = paddings(attrs, kernel, direction);
  const reach = attrs.dilation[direction] * (kernel - 1) + 1;
  const room = input + before + behind - reach;
  if (room < 0) {
    throw new ShapeError(
      `Cannot convolve: the kernel must not be larger than the padded input, got ${reach} with its dilation and ` +
        `${input + before + behind}`,
    );
  }
  return Math.floor(room / attrs.stride[direction]) + 1;
}

/** Writes the geometry for the native calls. `outShape` ends with the sizes of the directions. */
function writeGeometry(xShape: Shape, weightShape: Shape, outShape: Shape, attrs: ConvolutionAttrs): void {
  const { directions, stride, dilation, groups } = attrs;
  const flat = directions === 1;
  const ndim = xShape.length;
  const kernelHeight = flat ? 1 : weightShape[2];
  const kernelWidth = weightShape[weightShape.length - 1];
  geometry[0] = ndim === directions + 2 ? xShape[0] : 1;
  geometry[1] = weightShape[1] * groups;
  geometry[2] = flat ? 1 : xShape[ndim - 2];
  geometry[3] = xShape[ndim - 1];
  geometry[4] = weightShape[0];
  geometry[5] = flat ? 1 : outShape[ndim - 2];
  geometry[6] = outShape[ndim - 1];
  geometry[7] = kernelHeight;
  geometry[8] = kernelWidth;
  geometry[9] = heightOf(stride, 1);
  geometry[10] = widthOf(stride);
  geometry[11] = flat ? 0 : paddings(attrs, kernelHeight, 0)[0];
  geometry[12] = paddings(attrs, kernelWidth, directions - 1)[0];
  geometry[13] = heightOf(dilation, 1);
  geometry[14] = widthOf(dilation);
  geometry[15] = groups;
}

const convolutionOp: Op<ConvolutionAttrs> = {
  name: "convolution",
  outputShape([x, weight, bias], attrs) {
    const { lead, height, width } = checkOperands(x, weight, bias, attrs);
    const outWidth = outputSize(width, widthOf(weight.shape), attrs, attrs.directions - 1);
    const start = [...lead.slice(0, -1), weight.shape[0]];
    return attrs.directions === 1
      ? [...start, outWidth]
      : [...start, outputSize(height, weight.shape[2], attrs, 0), outWidth];
  },
  forward([input, kernel, bias], attrs, shape, node) {
    const x = contiguous(input);
    const weight = contiguous(kernel);
    const offsets = bias === undefined ? null : contiguous(bias);
    const out = empty(x.storage.device, shape, x.dtype, "convolution");
    const library = out.storage.device.library;
    writeGeometry(x.shape, weight.shape, shape, attrs);
    check(
      library.ax_convolution_forward(
        dtypeId(x.dtype),
        out.storage.id,
        out.offset,
        x.storage.id,
        x.offset,
        weight.storage.id,
        weight.offset,
        offsets === null ? 0 : offsets.storage.id,
        offsets === null ? 0 : offsets.offset,
        geometry,
        attrs.relu ? 1 : 0,
      ),
      "ax_convolution_forward",
      library,
    );
    if (node !== null) {
      if (attrs.relu) node.save(x, weight, out);
      else node.save(x, weight);
    }
    return out;
  },
  vjp(node, gradient): Gradient[] {
    const g = contiguous(gradient);
    const out: Gradient[] = [node.needs(0) ? inputGradient(node, g) : null];
    return [...out, ...weightGradients(node, g)];
  },
};

function inputGradient(node: Node<ConvolutionAttrs>, g: Tensor): Tensor {
  const [x, weight, mask] = node.saved;
  const out = empty(g.storage.device, x.shape, g.dtype, "grad");
  const library = out.storage.device.library;
  writeGeometry(x.shape, weight.shape, g.shape, node.attrs);
  check(
    library.ax_convolution_input_gradient(
      dtypeId(g.dtype),
      out.storage.id,
      out.offset,
      g.storage.id,
      g.offset,
      mask === undefined ? 0 : mask.storage.id,
      mask === undefined ? 0 : mask.offset,
      weight.storage.id,
      weight.offset,
      geometry,
    ),
    "ax_convolution_input_gradient",
    library,
  );
  return out;
}

/** The gradients of the weight and of the bias, where there is one; both come from one walk over the images. */
function weightGradients(node: Node<ConvolutionAttrs>, g: Tensor): Gradient[] {
  const [x, weight, mask] = node.saved;
  const hasBias = node.inputShapes.length === 3;
  const needsBias = hasBias && node.needs(2);
  if (!node.needs(1) && !needsBias) return hasBias ? [null, null] : [null];
  const sink = sinkOf(node, 1, g);
  const out = sink ?? empty(g.storage.device, weight.shape, g.dtype, "grad");
  const biasSink = needsBias ? sinkOf(node, 2, g) : null;
  const biasOut = needsBias ? biasSink ?? empty(g.storage.device, node.inputShapes[2], g.dtype, "grad") : null;
  const library = out.storage.device.library;
  writeGeometry(x.shape, weight.shape, g.shape, node.attrs);
  check(
    library.ax_convolution_weight_gradient(
      dtypeId(g.dtype),
      out.storage.id,
      out.offset,
      biasOut === null ? 0 : biasOut.storage.id,
      biasOut === null ? 0 : biasOut.offset,
      g.storage.id,
      g.offset,
      mask === undefined ? 0 : mask.storage.id,
      mask === undefined ? 0 : mask.offset,
      x.storage.id,
      x.offset,
      geometry,
      sink === null ? 0 : node.sinkBeta(1),
      biasSink === null ? 0 : node.sinkBeta(2),
    ),
    "ax_convolution_weight_gradient",
    library,
  );
  const gradients: Gradient[] = [node.needs(1) ? (sink === null ? out : WRITTEN) : null];
  if (hasBias) gradients.push(biasOut === null ? null : (biasSink === null ? biasOut : WRITTEN));
  return gradients;
}

/** The parameter's place in the flat gradients, when it has one of the gradient's dtype. */
function sinkOf(node: Node, index: number, gradient: Tensor): Tensor | null {
  const sink = node.sink(index);
  return sink !== null && sink.dtype === gradient.dtype ? sink : null;
}

/**
 * Checks options and puts them into the form that {@link convolution} takes.
 *
 * @throws {RangeError} When an option is not a size, or `"same"` meets a stride.
 */
export function convolutionAttrs(
  directions: Directions,
  { stride = 1, padding = 0, dilation = 1, groups = 1 }: ConvolutionOptions,
  relu = false,
): ConvolutionAttrs {
  const action = "convolve";
  const steps = sizesOf(stride, directions, "stride", 1, action);
  if (padding === "same" && steps.some((step) => step !== 1)) {
    throw new RangeError(`Cannot convolve: padding "same" needs a stride of 1, got [${steps}]`);
  }
  if (typeof padding === "string" && padding !== "same" && padding !== "valid") {
    throw new RangeError(`Cannot convolve: padding must be "same", "valid" or sizes, got "${padding}"`);
  }
  if (!Number.isInteger(groups) || groups < 1) {
    throw new RangeError(`Cannot convolve: groups must be a positive integer, got ${groups}`);
  }
  return {
    directions,
    stride: steps,
    padding: padding === "same"
      ? padding
      : sizesOf(padding === "valid" ? 0 : padding, directions, "padding", 0, action),
    dilation: sizesOf(dilation, directions, "dilation", 1, action),
    groups,
    relu,
  };
}

/** Convolution plus bias, then ReLU if the attributes say so. See `nn.functional.conv2d`. */
export function convolution(x: Tensor, weight: Tensor, bias: Tensor | null, attrs: ConvolutionAttrs): Tensor {
  return apply(convolutionOp, bias === null ? [x, weight] : [x, weight, bias], attrs);
}
