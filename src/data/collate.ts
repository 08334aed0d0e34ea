/**
 * From a list of samples to a batch.
 *
 * @module
 */
import { tensor } from "../creation.ts";
import { DTypeError } from "../core/errors.ts";
import { stack } from "../ops/cat.ts";
import { Tensor } from "../tensor.ts";

/**
 * Stacks tensors, makes tensors of numbers (float32, or int64 when all are integers) and of booleans, and goes into arrays and
 * plain objects, as PyTorch's `default_collate`.
 *
 * @throws {DTypeError} For values that no batch can be made of.
 */
export function collate(samples: readonly unknown[]): unknown {
  const first = samples[0];
  if (first instanceof Tensor) return stack(samples as Tensor[]);
  if (typeof first === "number") {
    const numbers = samples as number[];
    return numbers.every(Number.isInteger) ? tensor([...numbers], { dtype: "int64" }) : tensor([...numbers]);
  }
  if (typeof first === "boolean") return tensor((samples as boolean[]).map(Number), { dtype: "bool" });
  if (ArrayBuffer.isView(first)) return stack((samples as ArrayBufferView[]).map((sample) => tensor(sample)));
  if (typeof first === "string") return [...samples];
  if (Array.isArray(first)) return first.map((_, i) => collate(samples.map((sample) => (sample as unknown[])[i])));
  if (typeof first === "object" && first !== null) {
    const keys = Object.keys(first);
    return Object.fromEntries(
      keys.map((key) => [key, collate(samples.map((sample) => (sample as Record<string, unknown>)[key]))]),
    );
  }
  throw new DTypeError(
    `Cannot collate ${first === null ? "null" : typeof first}: give the DataLoader a collate function`,
  );
}
