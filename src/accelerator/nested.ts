/**
 * Nested values: arrays and plain objects of tensors.
 *
 * @module
 */
import { DTypeError } from "../core/errors.ts";
import { Tensor } from "../tensor.ts";

/**
 * The same structure with every tensor replaced.
 *
 * @throws {DTypeError} For a leaf that is not a tensor.
 */
export function mapTensors<T>(value: T, replace: (tensor: Tensor) => Tensor): T {
  if (value instanceof Tensor) return replace(value) as T;
  if (Array.isArray(value)) return value.map((item) => mapTensors(item, replace)) as T;
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTensors(item, replace)])) as T;
  }
  throw new DTypeError(
    `Cannot send ${value === null ? "null" : typeof value} between ranks: only tensors, and arrays and objects of them`,
  );
}
