/**
 * From a checkpoint to the prepared objects: everything is compared first, so that a load that fails changes nothing.
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { type RandomState, setRandomState } from "../core/random.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { type Json, packState, unpackState } from "../io/packed_state.ts";
import { withTiedNames } from "../io/tied.ts";
import type { Module } from "../nn/module.ts";
import { stack } from "../ops/cat.ts";
import type { Tensor } from "../tensor.ts";
import type { LoadedCheckpoint } from "./checkpoint_reader.ts";
import type { AnyOptimizer } from "./optimizer_link.ts";
import type { StoredState } from "./manifest.ts";
import type { AccumulationDict, PartialGradients } from "./partial_gradients.ts";
import type { Registry, Stateful } from "./registry.ts";

/** What is loaded into. */
export interface RestoreTarget {
  readonly registry: Registry;
  /** The registry's models, or those that hooks have left. */
  readonly models: readonly Module[];
  readonly accumulation: PartialGradients;
  readonly rank: number;
  readonly worldSize: number;
}

/** A change that cannot fail. */
type Change = () => void;

/** The ranks of the checkpoint whose accumulation windows a rank needs: its own, or all when there were more or fewer ranks. */
export function wantedRanks(saved: number, rank: number, worldSize: number): number[] {
  return saved === worldSize ? [rank] : Array.from({ length: saved }, (_, i) => i);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function planModel(loaded: LoadedCheckpoint, name: string, model: Module): Change {
  const { path, tensors, metadata } = loaded.file(name);
  const fail = (problem: string): CheckpointError => new CheckpointError(`Cannot load ${path}: ${problem}`, { path });
  const own = model.stateDict();
  const state = withTiedNames(tensors, metadata, own);
  for (const key of Object.keys(own)) {
    if (!Object.hasOwn(state, key)) throw fail(`tensor "${key}" of the model is missing`);
    const [want, got] = [own[key], state[key]];
    if (!sameShape(want.shape, got.shape)) {
      throw fail(`tensor "${key}" must have the shape ${formatShape(want.shape)}, got ${formatShape(got.shape)}`);
    }
    if (want.dtype !== got.dtype) throw fail(`tensor "${key}" must be ${want.dtype}, got ${got.dtype}`);
  }
  const extra = Object.keys(tensors).find((key) => !Object.hasOwn(own, key));
  if (extra !== undefined) throw fail(`tensor "${extra}" is not one of the model`);
  return () => void model.loadStateDict(state);
}

function planOptimizer(
  loaded: LoadedCheckpoint,
  field: string,
  stored: StoredState,
  optimizer: AnyOptimizer,
): Change {
  const state = loaded.unpack(stored, field) as ReturnType<typeof optimizer.stateDict>;
  try {
    optimizer.checkStateDict(state);
  } catch (error) {
    throw loaded.mismatch(field, messageOf(error), error);
  }
  return () => optimizer.loadStateDict(state);
}

/** A copy of a state that later changes of its object do not reach. */
function copyOf(object: Stateful): unknown {
  const { json, tensors } = packState(object.stateDict());
  const copies = Object.entries(tensors).map(([name, tensor]): [string, Tensor] => [name, tensor.detach().clone()]);
  return unpackState(json, Object.fromEntries(noGrad(() => copies)));
}

/** A change that may fail, and then takes itself back. */
type Attempt = () => Change;

/**
 * Objects that judge for themselves whether a state fits: when one refuses, those before it get their old state back.
 *
 * @returns What tries it, and returns the way back.
 */
function planOpaque(
  loaded: LoadedCheckpoint,
  entries: readonly { field: string; stored: StoredState; object: Stateful }[],
): Attempt {
  const states = entries.map(({ stored, field }) => loaded.unpack(stored, field));
  return () => {
    const before = entries.map(({ object }) => copyOf(object));
    const undo = (count: number): string => {
      let refused = "";
      for (let i = count - 1; i >= 0; i--) {
        try {
          entries[i].object.loadStateDict(before[i] as never);
        } catch (error) {
          refused += `. It refuses its state of before too (${entries[i].field}): ${messageOf(error)}`;
        }
      }
      return refused;
    };
    entries.forEach(({ object, field }, i) => {
      try {
        object.loadStateDict(states[i] as never);
      } catch (error) {
        throw loaded.mismatch(field, messageOf(error) + undo(i + 1), error);
      }
    });
    return () => void undo(entries.length);
  };
}

/** The state of a window that was open on `windows.length` ranks, for each of another number of ranks: the mean has the same sum over ranks. */
function meanWindow(loaded: LoadedCheckpoint, windows: readonly (StoredState | undefined)[]): unknown {
  const open = windows.filter((window) => window !== undefined);
  if (open.length === 0) return undefined;
  const [first] = open;
  const differs = open.findIndex(({ state }) => JSON.stringify(state) !== JSON.stringify(first.state));
  if (open.length !== windows.length || differs > 0) {
    throw loaded.mismatch(
      "ranks",
      `the accumulation windows of the ${windows.length} ranks differ, so another number of ranks cannot go on with them. ` +
        "Load it with as many ranks, or a checkpoint between two optimizer steps",
    );
  }
  const files = open.flatMap(({ file }) => file === undefined ? [] : [loaded.file(file).tensors]);
  const names = Object.keys(files[0] ?? {});
  const mean = (name: string): Tensor => {
    const all = stack(files.map((tensors) => tensors[name]));
    return all.mean({ dim: 0 });
  };
  return unpackState(first.state as Json, noGrad(() => Object.fromEntries(names.map((name) => [name, mean(name)]))));
}

function planAccumulation(loaded: LoadedCheckpoint, target: RestoreTarget): Change {
  const { ranks } = loaded.manifest;
  const { accumulation, rank, worldSize } = target;
  const own = ranks.length === worldSize ? ranks[rank].accumulation : undefined;
  const saved = ranks.length === worldSize
    ? own === undefined ? undefined : loaded.unpack(own, `ranks.${rank}.accumulation`)
    : meanWindow(loaded, ranks.map((saved) => saved.accumulation));
  const state = saved as AccumulationDict | undefined;
  try {
    accumulation.checkStateDict(state);
  } catch (error) {
    throw loaded.mismatch("ranks", messageOf(error), error);
  }
  return () => accumulation.loadStateDict(state);
}

/** The random state of a rank. One that the saved job did not have gets a stream of its own, unless all ranks had the same. */
export function randomStateOf(saved: readonly RandomState[], rank: number): RandomState {
  if (rank < saved.length) return saved[rank];
  const first = saved[0];
  if (saved.every((state) => JSON.stringify(state) === JSON.stringify(first))) return first;
  return { ...first, seedHigh: (first.seedHigh ^ (0x80000000 + rank)) >>> 0 };
}

function checkCount(loaded: LoadedCheckpoint, field: string, found: number, prepared: number, verb = "prepared"): void {
  if (found === prepared) return;
  throw loaded.mismatch(
    field,
    `found ${found} in the checkpoint, but ${verb} ${prepared}: both must be the same objects`,
  );
}

/** How a checkpoint is loaded. */
export interface RestorePlan {
  /** Loads what may refuse; returns what takes it back. */
  readonly begin: Attempt;
  /** Loads the rest. */
  readonly finish: Change;
}

/**
 * Compares a checkpoint with what is prepared; changes nothing.
 *
 * @throws {CheckpointError} When something does not fit; it names the file and the field.
 */
export function planRestore(loaded: LoadedCheckpoint, target: RestoreTarget): RestorePlan {
  const { registry, models } = target;
  const { manifest } = loaded;
  checkCount(loaded, "models", manifest.models.length, models.length);
  for (const kind of ["optimizers", "schedulers", "loaders"] as const) {
    checkCount(loaded, kind, manifest[kind].length, registry[kind].length);
  }
  checkCount(loaded, "custom", manifest.custom.length, registry.custom.length, "registered");
  checkCount(loaded, "scaler", manifest.scaler === undefined ? 0 : 1, registry.scaler === undefined ? 0 : 1);
  const opaque = (["schedulers", "loaders", "custom"] as const).flatMap((kind) =>
    registry[kind].map((object: Stateful, i) => ({ field: `${kind}.${i}`, stored: manifest[kind][i], object }))
  );
  if (registry.scaler !== undefined) {
    opaque.push({ field: "scaler", stored: manifest.scaler!, object: registry.scaler });
  }
  const changes = [
    ...models.map((model, i) => planModel(loaded, manifest.models[i], model)),
    ...registry.optimizers.map((optimizer, i) =>
      planOptimizer(loaded, `optimizers.${i}`, manifest.optimizers[i], optimizer)
    ),
    planAccumulation(loaded, target),
  ];
  const random = randomStateOf(manifest.ranks.map((rank) => rank.random), target.rank);
  const finish = (): void => {
    for (const change of changes) change();
    setRandomState(random);
  };
  return { begin: planOpaque(loaded, opaque), finish };
}
