/**
 * Nested values: arrays and plain objects of tensors.
 *
 * @module
 */
import { DTypeError } from "../core/errors.ts";
import { Tensor } from "../tensor.ts";

/** Whether a value is an object literal. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** The same structure with every leaf replaced; what is no array and no plain object is a leaf. */
export function mapLeaves(value: unknown, replace: (leaf: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => mapLeaves(item, replace));
  if (!isRecord(value)) return replace(value);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapLeaves(item, replace)]));
}

/**
 * The same structure with every tensor replaced.
 *
 * @throws {DTypeError} For a leaf that is not a tensor.
 */
export function mapTensors<T>(value: T, replace: (tensor: Tensor) => Tensor): T {
  return mapLeaves(value, (leaf) => {
    if (leaf instanceof Tensor) return replace(leaf);
    throw new DTypeError(
      `Cannot send ${
        leaf === null ? "null" : typeof leaf
      } between ranks: only tensors, and arrays and objects of them. ` +
        "Send other values with gatherObject or broadcastObject",
    );
  }) as T;
}

/** The tensors of a nested value, in order. */
export function tensorsOf(value: unknown): Tensor[] {
  const found: Tensor[] = [];
  mapTensors(value, (tensor) => {
    found.push(tensor);
    return tensor;
  });
  return found;
}

/** Shapes and dtypes, as they are compared between ranks. */
export function describeTensors(tensors: readonly Tensor[]): string {
  return tensors.map(({ shape, dtype }) => `[${shape.join(", ")}] ${dtype}`).join("; ") || "no tensor";
}
