/**
 * Tensors that stand under several names: a file holds each once, and its metadata says which other names it has, as
 * `safetensors.torch.save_model` does.
 *
 * @module
 */
import type { Tensor } from "../tensor.ts";

/** Tensors by name. */
export type TensorRecord = Readonly<Record<string, Tensor>>;

/** What a file of a model holds. */
export interface DistinctTensors {
  readonly tensors: Record<string, Tensor>;
  /** The header's texts: of each name that is left out, the one that stands for it. */
  readonly metadata: Record<string, string>;
}

/** Leaves each tensor only under the first of its names in alphabetical order. */
export function distinctTensors(state: TensorRecord): DistinctTensors {
  const kept = new Map<Tensor, string>();
  for (const name of Object.keys(state).sort()) if (!kept.has(state[name])) kept.set(state[name], name);
  const entries = Object.entries(state);
  const tied = entries.filter(([name, tensor]) => kept.get(tensor) !== name);
  return {
    tensors: Object.fromEntries(entries.filter(([name, tensor]) => kept.get(tensor) === name)),
    metadata: { format: "pt", ...Object.fromEntries(tied.map(([name, tensor]) => [name, kept.get(tensor)!])) },
  };
}

/**
 * Gives tied tensors all their names again: those that the file's metadata knows, and those that the model itself ties.
 *
 * @param loaded What a file holds.
 * @param metadata Its header's texts.
 * @param own The state dict of the model that is to be filled.
 */
export function withTiedNames(
  loaded: TensorRecord,
  metadata: Readonly<Record<string, string>>,
  own: TensorRecord,
): Record<string, Tensor> {
  const out = { ...loaded };
  const byTensor = new Map<Tensor, string>();
  for (const name of Object.keys(own)) if (Object.hasOwn(loaded, name)) byTensor.set(own[name], name);
  for (const name of Object.keys(own)) {
    if (Object.hasOwn(out, name)) continue;
    const other = Object.hasOwn(metadata, name) ? metadata[name] : byTensor.get(own[name]);
    if (other !== undefined && Object.hasOwn(loaded, other)) out[name] = loaded[other];
  }
  return out;
}
