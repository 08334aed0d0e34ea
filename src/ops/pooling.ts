/**
 * Maximum and average pooling in one and two directions.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { dtypeId } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { apply, empty, type Op } from "../core/op.ts";
import { formatShape, type Shape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./copy.ts";
import { contiguous } from "./launch.ts";
import { type Directions, heightOf, planesOf, type Sizes, sizesOf, widthOf } from "./planes.ts";

/** What all pools are given besides their input and window. */
export interface PoolOptions {
  /** Step between windows. Default: the size of the window. */
  stride?: number | readonly number[];
  /** Border around the input, at most half a window. Default 0. */
  padding?: number | readonly number[];
  /** Whether a last window that leaves the input counts. Default false. */
  ceilMode?: boolean;
}

/** Options of maximum pooling. */
export interface MaxPoolOptions extends PoolOptions {
  /** Distance between the elements of a window. Default 1. */
  dilation?: number | readonly number[];
}

/** Options of average pooling. */
export interface AvgPoolOptions extends PoolOptions {
  /** Whether the border counts as zeros in the average. Default true. */
  countIncludePad?: boolean;
  /** What sums are divided by instead of the window's size. */
  divisorOverride?: number;
}

interface PoolAttrs {
  readonly directions: Directions;
  readonly kernel: Sizes;
  readonly stride: Sizes;
  readonly padding: Sizes;
  readonly dilation: Sizes;
  readonly ceilMode: boolean;
  readonly flags: number;
  readonly divisor: number;
  /** Sizes of the output of an adaptive pool; null: those of the input. */
  readonly outputSizes: readonly (number | null)[] | null;
  /** Receives the indices of a maximum pool, where they are wanted. */
  readonly indices: Tensor[] | null;
}

const geometry = new Int32Array(15);

function writeGeometry(xShape: Shape, outShape: Shape, attrs: PoolAttrs): void {
  const { directions, kernel, stride, padding, dilation, flags, divisor } = attrs;
  const ndim = xShape.length;
  let planes = 1;
  for (let i = 0; i < ndim - directions; i++) planes *= xShape[i];
  geometry[0] = planes;
  geometry[1] = directions === 1 ? 1 : xShape[ndim - 2];
  geometry[2] = xShape[ndim - 1];
  geometry[3] = directions === 1 ? 1 : outShape[ndim - 2];
  geometry[4] = outShape[ndim - 1];
  geometry[5] = heightOf(kernel, 1);
  geometry[6] = widthOf(kernel);
  geometry[7] = heightOf(stride, 1);
  geometry[8] = widthOf(stride);
  geometry[9] = heightOf(padding, 0);
  geometry[10] = widthOf(padding);
  geometry[11] = heightOf(dilation, 1);
  geometry[12] = widthOf(dilation);
  geometry[13] = flags;
  geometry[14] = divisor;
}

function outputSize(input: number, attrs: PoolAttrs, direction: number): number {
  if (attrs.outputSizes !== null) return attrs.outputSizes[direction] ?? input;
  const [kernel, stride] = [attrs.kernel[direction], attrs.stride[direction]];
  const [padding, dilation] = [attrs.padding[direction], attrs.dilation[direction]];
  const reach = dilation * (kernel - 1) + 1;
  const room = input + 2 * padding - reach;
  const windows = (attrs.ceilMode ? Math.ceil(room / stride) : Math.floor(room / stride)) + 1;
  // A window that would begin in the border behind the input does not count.
  const size = attrs.ceilMode && (windows - 1) * stride >= input + padding ? windows - 1 : windows;
  if (size < 1) {
    throw new ShapeError(
      `Cannot pool: the window must not be larger than the padded input, got ${reach} and ${input + 2 * padding}`,
    );
  }
  return size;
}

function pooledShape(x: Tensor, attrs: PoolAttrs): Shape {
  const { lead, height, width } = planesOf(x, attrs.directions, "pool");
  const outWidth = outputSize(width, attrs, attrs.directions - 1);
  return attrs.directions === 1 ? [...lead, outWidth] : [...lead, outputSize(height, attrs, 0), outWidth];
}

const maxPoolOp: Op<PoolAttrs> = {
  name: "maxPool",
  outputShape: ([x], attrs) => pooledShape(x, attrs),
  forward([input], attrs, shape, node) {
    const x = contiguous(input);
    const out = empty(x.storage.device, shape, x.dtype, "maxPool");
    const indices = empty(x.storage.device, shape, "int32", "maxPool");
    const library = out.storage.device.library;
    writeGeometry(x.shape, shape, attrs);
    check(
      library.ax_max_pool_forward(
        dtypeId(x.dtype),
        out.storage.id,
        out.offset,
        indices.storage.id,
        indices.offset,
        x.storage.id,
        x.offset,
        geometry,
      ),
      "ax_max_pool_forward",
      library,
    );
    node?.save(indices);
    attrs.indices?.push(indices);
    return out;
  },
  vjp(node, gradient) {
    const [indices] = node.saved;
    const g = contiguous(gradient);
    const out = empty(g.storage.device, node.inputShapes[0], g.dtype, "grad");
    const library = out.storage.device.library;
    writeGeometry(out.shape, g.shape, node.attrs);
    check(
      library.ax_max_pool_backward(
        dtypeId(g.dtype),
        out.storage.id,
        out.offset,
        g.storage.id,
        g.offset,
        indices.storage.id,
        indices.offset,
        geometry,
      ),
      "ax_max_pool_backward",
      library,
    );
    return [out];
  },
};

const averagePoolOp: Op<PoolAttrs> = {
  name: "avgPool",
  outputShape: ([x], attrs) => pooledShape(x, attrs),
  forward([input], attrs, shape) {
    const x = contiguous(input);
    const out = empty(x.storage.device, shape, x.dtype, "avgPool");
    const library = out.storage.device.library;
    writeGeometry(x.shape, shape, attrs);
    check(
      library.ax_average_pool_forward(
        dtypeId(x.dtype),
        out.storage.id,
        out.offset,
        x.storage.id,
        x.offset,
        geometry,
      ),
      "ax_average_pool_forward",
      library,
    );
    return out;
  },
  vjp(node, gradient) {
    const g = contiguous(gradient);
    const out = empty(g.storage.device, node.inputShapes[0], g.dtype, "grad");
    const library = out.storage.device.library;
    writeGeometry(out.shape, g.shape, node.attrs);
    check(
      library.ax_average_pool_backward(
        dtypeId(g.dtype),
        out.storage.id,
        out.offset,
        g.storage.id,
        g.offset,
        geometry,
      ),
      "ax_average_pool_backward",
      library,
    );
    return [out];
  },
};

function poolAttrs(
  directions: Directions,
  kernelSize: number | readonly number[],
  { stride, padding = 0, ceilMode = false, dilation = 1 }: MaxPoolOptions,
): PoolAttrs {
  const action = "pool";
  const kernel = sizesOf(kernelSize, directions, "kernelSize", 1, action);
  const borders = sizesOf(padding, directions, "padding", 0, action);
  if (borders.some((border, i) => 2 * border > kernel[i])) {
    throw new RangeError(
      `Cannot pool: padding must be at most half of kernelSize, got [${borders}] for [${kernel}]`,
    );
  }
  return {
    directions,
    kernel,
    stride: stride === undefined ? kernel : sizesOf(stride, directions, "stride", 1, action),
    padding: borders,
    dilation: sizesOf(dilation, directions, "dilation", 1, action),
    ceilMode,
    flags: 0,
    divisor: 0,
    outputSizes: null,
    indices: null,
  };
}

/** Maximum of each window. See `nn.functional.maxPool2d`. */
export function maxPool(
  x: Tensor,
  directions: Directions,
  kernelSize: number | readonly number[],
  options: MaxPoolOptions,
): Tensor {
  return apply(maxPoolOp, [x], poolAttrs(directions, kernelSize, options));
}

/** The same, and the positions of the maxima in their planes (int64). */
export function maxPoolWithIndices(
  x: Tensor,
  directions: Directions,
  kernelSize: number | readonly number[],
  options: MaxPoolOptions,
): [Tensor, Tensor] {
  const indices: Tensor[] = [];
  const out = apply(maxPoolOp, [x], { ...poolAttrs(directions, kernelSize, options), indices });
  return [out, cast(indices[0], "int64")];
}

/** Average of each window. See `nn.functional.avgPool2d`. */
export function avgPool(
  x: Tensor,
  directions: Directions,
  kernelSize: number | readonly number[],
  { countIncludePad = true, divisorOverride, ...options }: AvgPoolOptions,
): Tensor {
  if (divisorOverride !== undefined && (!Number.isInteger(divisorOverride) || divisorOverride === 0)) {
    throw new RangeError(`Cannot pool: divisorOverride must be an integer other than 0, got ${divisorOverride}`);
  }
  return apply(averagePoolOp, [x], {
    ...poolAttrs(directions, kernelSize, options),
    flags: countIncludePad ? AX.POOL_INCLUDE_PADDING : 0,
    divisor: divisorOverride ?? 0,
  });
}

/** Averages to an output of given sizes; null keeps that of the input. See `nn.functional.adaptiveAvgPool2d`. */
export function adaptiveAvgPool(x: Tensor, directions: Directions, outputSizes: readonly (number | null)[]): Tensor {
  if (outputSizes.some((size) => size !== null && (!Number.isInteger(size) || size < 1))) {
    throw new RangeError(`Cannot pool ${formatShape(x.shape)} to [${outputSizes}]: sizes must be positive integers`);
  }
  return apply(averagePoolOp, [x], { ...poolAttrs(directions, 1, {}), flags: AX.POOL_ADAPTIVE, outputSizes });
}
