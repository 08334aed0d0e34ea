/**
 * From prepared objects to the files and the manifest of a checkpoint.
 *
 * @module
 */
import type { RandomState } from "../core/random.ts";
import { packState } from "../io/packed_state.ts";
import { layoutSafetensors, type SafetensorsLayout } from "../io/safetensors_format.ts";
import { distinctTensors } from "../io/tied.ts";
import { CheckpointError } from "../core/errors.ts";
import type { Module } from "../nn/module.ts";
import type { Manifest, RankState, StoredState } from "./manifest.ts";
import type { PartialGradients } from "./partial_gradients.ts";
import type { Registry, Stateful } from "./registry.ts";

/** A file that is to be written. */
export interface TensorFile {
  readonly name: string;
  readonly layout: SafetensorsLayout;
}

/** What all ranks have in common. */
export type SharedState = Omit<Manifest, "files" | "ranks" | "iteration" | "worldSize">;

/** The name of the file for the object at `index` of its kind, as Accelerate numbers them: the first has no number. */
export function fileName(kind: string, index: number): string {
  return `${kind}${index === 0 ? "" : `_${index}`}.safetensors`;
}

/** Packs the state of one object; a file is added for its tensors when it has some. */
function store(files: TensorFile[], name: string, what: string, state: unknown): StoredState {
  let packed;
  try {
    packed = packState(state);
  } catch (error) {
    throw new CheckpointError(`Cannot save ${what}: in its state ${error instanceof Error ? error.message : error}`, {
      path: name,
      cause: error,
    });
  }
  if (Object.keys(packed.tensors).length === 0) return { state: packed.json };
  files.push({ name, layout: layoutSafetensors(name, packed.tensors, { format: "pt" }) });
  return { state: packed.json, file: name };
}

/**
 * Collects what rank 0 writes.
 *
 * @param registry The prepared objects.
 * @param models Its models, or those that hooks have left.
 * @param files Gets the files.
 */
export function collectShared(registry: Registry, models: readonly Module[], files: TensorFile[]): SharedState {
  const { optimizers, schedulers, loaders, scaler, custom } = registry;
  const modelFiles = models.map((model, i) => {
    const { tensors, metadata } = distinctTensors(model.stateDict());
    const name = fileName("model", i);
    files.push({ name, layout: layoutSafetensors(name, tensors, metadata) });
    return name;
  });
  const storeAll = (kind: string, objects: readonly Stateful[], nameOf = fileName): StoredState[] =>
    objects.map((object, i) => store(files, nameOf(kind, i), `${kind} ${i}`, object.stateDict()));
  return {
    models: modelFiles,
    optimizers: storeAll("optimizer", optimizers),
    schedulers: storeAll("scheduler", schedulers),
    loaders: storeAll("loader", loaders),
    ...(scaler === undefined ? {} : { scaler: store(files, "scaler.safetensors", "scaler", scaler.stateDict()) }),
    custom: storeAll("custom_checkpoint", custom, (kind, i) => `${kind}_${i}.safetensors`),
  };
}

/**
 * Collects what each rank has for itself.
 *
 * @param rank The rank.
 * @param random Its random numbers.
 * @param accumulation Its accumulation window.
 * @param files Gets the files.
 */
export function collectRank(
  rank: number,
  random: RandomState,
  accumulation: PartialGradients,
  files: TensorFile[],
): RankState {
  const state = accumulation.stateDict();
  if (state === undefined) return { random };
  return { random, accumulation: store(files, `accumulation_${rank}.safetensors`, "the accumulation window", state) };
}
