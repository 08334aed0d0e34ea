/**
 * Tensors that are not contiguous.
 *
 * @module
 */
import { type DeviceName, type DType, type Tensor, tensor } from "../../mod.ts";

/** A tensor whose elements are neither at the beginning of its memory nor in row-major order, between values that would show. */
export function stridedTensor(
  values: readonly number[],
  shape: readonly number[],
  dtype: DType,
  device: DeviceName,
): Tensor {
  const junk = dtype.includes("float") ? NaN : 1;
  if (shape.length < 2) {
    const spaced = [junk, ...values.flatMap((value) => [value, junk])];
    const all = tensor(spaced, { dtype, device });
    return shape.length === 0 ? all.select(0, 1) : all.slice({ start: 1, step: 2 });
  }
  const reversed = [...shape].reverse();
  const lead = reversed.slice(1).reduce((product, size) => product * size, 1);
  const moved = new Array<number>(lead).fill(junk);
  const index = new Array<number>(shape.length).fill(0);
  for (let k = 0; k < values.length; k++) {
    // The element at `index` of the reversed shape is the one at the reversed index of the shape.
    let at = 0;
    for (let d = 0; d < shape.length; d++) at = at * shape[d] + index[shape.length - 1 - d];
    moved.push(values[at]);
    for (let d = shape.length - 1; d >= 0 && ++index[d] === reversed[d]; d--) index[d] = 0;
  }
  const base = tensor(moved, { shape: [reversed[0] + 1, ...reversed.slice(1)], dtype, device });
  return base.narrow(0, 1, reversed[0]).permute(shape.map((_, d) => shape.length - 1 - d));
}
