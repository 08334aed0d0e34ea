/**
 * Backward passes of an Accelerator: what is accumulated, what is reduced between the ranks, and by what it is divided.
 *
 * @module
 */
import { CollectiveError } from "../core/errors.ts";
import { empty, noGrad } from "../core/op.ts";
import { refuseRecording } from "../core/recording.ts";
import { tensor } from "../creation.ts";
import type { LastingGroup } from "../distributed/lasting_group.ts";
import { Reducer } from "../distributed/reducer.ts";
import { Module } from "../nn/module.ts";
import { fillInto } from "../ops/launch.ts";
import { type FlatBuffer, flatten } from "../optim/flat.ts";
import { Tensor } from "../tensor.ts";
import { tidy } from "../tidy.ts";
import type { GlobalBatchLink } from "./global_batch.ts";
import type { JoinedRegion } from "./joined_region.ts";
import { type AnyOptimizer, OptimizerLink } from "./optimizer_link.ts";
import { addParts, takeSum } from "./ordered_sums.ts";
import { placeModule, placeOptimizer } from "./placement.ts";
import type { Ranks } from "./ranks.ts";
import { reciprocal, scaleGradients, Window } from "./window.ts";

/** What accumulation is about: a model, an optimizer, or several of them. */
export type AccumulationTarget = Module | AnyOptimizer | readonly (Module | AnyOptimizer)[];

/** Options of `backward`. */
export interface AcceleratorBackwardOptions {
  /**
   * What the loss is still to be divided by: how many tokens or samples it sums over. Those of all ranks and micro-batches are added
   * up, so the step has the gradient of the mean over all of them. Default: the loss is a mean, and the step has the mean of those.
   */
  normalizer?: number | Tensor;
}

function numberOf(normalizer: number | Tensor): number {
  const value = normalizer instanceof Tensor ? normalizer.item() : normalizer;
  if (!(value >= 0 && value < Infinity)) {
    throw new RangeError(`Cannot divide a loss by ${value}: the normalizer must be finite and at least 0`);
  }
  return value;
}

/** The gradients of everything that an Accelerator has prepared. */
export class Gradients {
  readonly #ranks: Ranks;
  readonly #bucketBytes: number;
  readonly #reducers = new Map<FlatBuffer, Reducer>();
  readonly #windows = new Map<FlatBuffer, Window>();
  readonly #links = new Map<AnyOptimizer, OptimizerLink>();
  #resolved = new WeakMap<object, readonly Window[]>();
  /** How many regions keep a buffer's gradients to this rank. */
  readonly #held = new Map<FlatBuffer, number>();
  #group: LastingGroup | undefined;
  /** The windows of the innermost micro-batch that is open. */
  entered: readonly Window[] | null = null;
  /** The windows of the micro-batch that was entered last. */
  latest: readonly Window[] = [];
  /** Set in a region where ranks may have batches left while others have none. */
  joined: JoinedRegion | null = null;
  /** Reduce in every micro-batch. */
  syncEachBatch = false;
  /** Micro-batches in a window. */
  steps = 1;
  /** Steps of a fixed number of samples: a micro-batch counts by its samples, and windows close with the steps. */
  globalBatch: GlobalBatchLink | null = null;

  /**
   * @param ranks The ranks.
   * @param bucketBytes Size of a bucket.
   */
  constructor(ranks: Ranks, bucketBytes: number) {
    this.#ranks = ranks;
    this.#bucketBytes = bucketBytes;
  }

  /** The reducers, in the order of their preparation; none in one process. */
  get reducers(): ReadonlyMap<FlatBuffer, Reducer> {
    return this.#reducers;
  }

  /** The flat memory of everything that was prepared. */
  get buffers(): Iterable<FlatBuffer> {
    return { [Symbol.iterator]: () => this.#windows.keys() };
  }

  /** The optimizers, in the order of their preparation. */
  get links(): ReadonlyMap<AnyOptimizer, OptimizerLink> {
    return this.#links;
  }

  /** Makes a model's parameters flat, and equal to those of rank 0. */
  async prepareModel(model: Module, group: LastingGroup): Promise<void> {
    this.#group = group;
    for (const buffer of placeModule(model, group.device)) {
      if (!this.#windows.has(buffer)) this.#adopt(new Window(), [buffer]);
      if (group.worldSize === 1 || this.#reducers.has(buffer)) continue;
      await group.ready();
      group.broadcast(buffer.values, 0);
      this.#reducers.set(buffer, new Reducer(buffer, group, this.#bucketBytes));
    }
  }

  #adopt(window: Window, buffers: Iterable<FlatBuffer>): void {
    for (const buffer of buffers) {
      window.buffers.add(buffer);
      this.#windows.set(buffer, window);
    }
  }

  /** Lets an optimizer take steps with complete gradients only. */
  prepareOptimizer(optimizer: AnyOptimizer): void {
    if (this.#links.has(optimizer)) return;
    const buffers = placeOptimizer(optimizer, this.#ranks.device);
    // A model and its optimizer share a window, and so do optimizers of one model.
    const found = [...buffers].flatMap((buffer) => this.#windows.get(buffer) ?? []);
    const window = found[0] ?? new Window();
    for (const other of found) this.#adopt(window, [...other.buffers]);
    this.#adopt(window, buffers);
    for (const link of this.#links.values()) if (found.includes(link.window)) link.window = window;
    this.#resolved = new WeakMap();
    const link = new OptimizerLink(optimizer, window, this);
    this.#links.set(optimizer, link);
    optimizer.guard = link;
  }

  /** Gives everything back, or what is named. */
  release(objects?: readonly unknown[]): void {
    this.#resolved = new WeakMap();
    for (const optimizer of [...this.#links.keys()]) {
      if (objects !== undefined && !objects.includes(optimizer)) continue;
      optimizer.guard = null;
      this.#links.delete(optimizer);
    }
    const buffers = objects === undefined
      ? [...this.#windows.keys()]
      : objects.flatMap((object) => object instanceof Module ? [...flatten(object.parameters())] : []);
    for (const buffer of buffers) {
      this.#reducers.get(buffer)?.close();
      this.#reducers.delete(buffer);
      this.#windows.delete(buffer);
      this.#held.delete(buffer);
    }
  }

  #buffersOf(target: object): Set<FlatBuffer> {
    const parameters = target instanceof Module
      ? target.parameters()
      : (target as AnyOptimizer).paramGroups.flatMap(({ params }) => [...params]);
    return flatten(parameters);
  }

  /** The windows of models and optimizers. */
  windowsOf(target: AccumulationTarget): readonly Window[] {
    const known = this.#resolved.get(target);
    if (known !== undefined) return known;
    const targets = (Array.isArray(target) ? target : [target]) as readonly (Module | AnyOptimizer)[];
    const found = targets.flatMap((one) => [...this.#buffersOf(one)].map((buffer) => this.#windows.get(buffer)));
    const windows = [...new Set(found)];
    if (windows.length === 0 || windows.includes(undefined)) {
      throw new CollectiveError("Cannot accumulate: prepare() the model and its optimizer first", {
        rank: this.#ranks.rank,
        op: "accumulate",
      });
    }
    if (!Array.isArray(target)) this.#resolved.set(target, windows as Window[]);
    return windows as Window[];
  }

  /** Keeps the gradients of models to this rank until the returned function is called. */
  hold(target: AccumulationTarget): () => void {
    const targets = (Array.isArray(target) ? target : [target]) as readonly (Module | AnyOptimizer)[];
    const buffers = targets.flatMap((one) => [...this.#buffersOf(one)]);
    const change = (by: number): void => {
      for (const buffer of buffers) this.#held.set(buffer, (this.#held.get(buffer) ?? 0) + by);
    };
    change(1);
    return () => change(-1);
  }

  /** Lets the gradients of models be reduced although they are held, until the returned function is called. */
  unhold(target: AccumulationTarget): () => void {
    const targets = (Array.isArray(target) ? target : [target]) as readonly (Module | AnyOptimizer)[];
    const before = targets.flatMap((one) => [...this.#buffersOf(one)]).map((buffer) =>
      [buffer, this.#held.get(buffer) ?? 0] as const
    );
    for (const [buffer] of before) this.#held.delete(buffer);
    return () => before.forEach(([buffer, count]) => this.#held.set(buffer, count));
  }

  /** See `Accelerator.backward`. */
  backward(loss: Tensor, normalizer: number | Tensor | undefined): void {
    for (const link of this.#links.values()) link.isPending = true;
    const counts = this.globalBatch?.counts() ?? null;
    if (
      counts === null && this.entered === null && normalizer === undefined && this.steps === 1 &&
      this.#reducers.size === 0
    ) {
      this.#ranks.regions.forbid("backward");
      loss.backward();
      return;
    }
    this.#ranks.checkFree("backward");
    let weight = normalizer === undefined ? undefined : numberOf(normalizer);
    if (counts !== null) {
      // A mean over samples counts by their number, and what has none does not count.
      const count = counts[this.#ranks.rank];
      const times = count === 0 ? 0 : weight === undefined ? count : 1;
      weight = (weight ?? 1) * times;
      const windows = this.entered ?? (this.latest = this.#enterAll(Infinity, this.globalBatch!.closes()));
      if (this.globalBatch!.isDeterministic) return this.#inOrder(loss, weight, times, windows, counts);
      return this.#accumulated(loss, weight, windows, times);
    }
    // Where ranks may have nothing left, the divisor is told with the reduction: by a window of one micro-batch.
    const entered = this.entered ?? (this.joined === null ? null : this.#enterAll(1, true));
    if (entered === null) this.#alone(loss, weight);
    else this.#accumulated(loss, weight, entered);
  }

  #enterAll(steps: number, isLast: boolean): readonly Window[] {
    const windows = [...new Set(this.#windows.values())];
    for (const window of windows) window.enter(steps, isLast);
    return windows;
  }

  /** A micro-batch whose gradients are added to those of all parts before it, in the order of the samples. */
  #inOrder(loss: Tensor, weight: number, times: number, windows: readonly Window[], counts: readonly number[]): void {
    const buffers = [...new Set(windows.flatMap((window) => [...window.buffers]))];
    const sums = windows.flatMap((window) => [...window.buffers].map((buffer) => takeSum(buffer, window.isPartial)));
    // Sum and weight are those of all ranks at any time.
    const all = this.#sum(weight);
    for (const window of windows) window.add(all);
    this.#run(loss, times, () => null);
    buffers.forEach((buffer, i) => {
      addParts(buffer, sums[i], this.#group!, counts);
      this.#reducers.get(buffer)?.resume(false);
    });
    for (const window of windows) if (window.closes) this.#closeInOrder(window);
  }

  #closeInOrder(window: Window): void {
    window.divisor = window.weight ?? 0;
    for (const buffer of window.buffers) scaleGradients(buffer, reciprocal(window.divisor));
    window.isDone = true;
  }

  /** A pass outside of accumulate(): a window of its own. */
  #alone(loss: Tensor, weight: number | undefined): void {
    const { worldSize } = this.#ranks;
    // A mean over ranks is taken by the reduction, so the loss gets the rest of the factor.
    const factor = weight === undefined ? 1 / this.steps : worldSize * reciprocal(this.#sum(weight));
    this.#run(loss, factor, (buffer) => this.#isHeld(buffer) ? null : 1 / worldSize);
  }

  #accumulated(loss: Tensor, weight: number | undefined, entered: readonly Window[], times = 1): void {
    const { worldSize } = this.#ranks;
    refuseRecording(
      "backward() inside of accumulate()",
      "a replay would be the same micro-batch again. Accumulate without capture()",
    );
    for (const window of entered) {
      // A second pass in a micro-batch that was already complete: back to the sum.
      if (window.divisor !== 1) { for (const buffer of window.buffers) scaleGradients(buffer, window.divisor); }
      window.divisor = 1;
      window.isDone = false;
      window.add(weight);
    }
    const totals = new Map<Window, number>();
    const scaleOf = (buffer: FlatBuffer): number | null => {
      if (this.#isHeld(buffer)) return null;
      const window = this.#windows.get(buffer);
      if (window === undefined || !entered.includes(window)) return 1 / worldSize;
      if (window.closes) return reciprocal(totals.get(window)!);
      return this.syncEachBatch ? 1 / worldSize : null;
    };
    if (this.joined === null) {
      for (const window of entered) {
        if (window.closes) totals.set(window, this.#total(window));
      }
    }
    this.#run(loss, times, scaleOf);
    if (this.joined === null) { for (const [window, total] of totals) this.#close(window, total); }
  }

  /** Divides where no reduction does it, and notes that the gradients are complete. */
  #close(window: Window, total: number): void {
    const own = window.weight ?? window.count;
    window.divisor = total / this.#ranks.worldSize;
    for (const buffer of window.buffers) {
      if (this.#reducers.has(buffer) && !this.#isHeld(buffer)) continue;
      scaleGradients(buffer, reciprocal(own));
      window.divisor = own;
    }
    window.isDone = true;
  }

  /** What the sum over ranks and micro-batches is divided by. */
  #total(window: Window): number {
    return window.weight === null ? this.#ranks.worldSize * window.count : this.#sum(window.weight);
  }

  #isHeld(buffer: FlatBuffer): boolean {
    return (this.#held.get(buffer) ?? 0) > 0;
  }

  /** A number, added up over the ranks. */
  #sum(value: number): number {
    const group = this.#group;
    if (group === undefined || group.worldSize === 1) return value;
    return tidy(() => {
      const all = tensor([value], { dtype: "float64", device: group.device.toString() });
      group.allReduce(all, "sum", 1);
      return all.item();
    });
  }

  #run(loss: Tensor, factor: number, scaleOf: (buffer: FlatBuffer) => number | null): void {
    const active = [...this.#reducers];
    const overlaps = this.joined === null;
    try {
      for (const [buffer, reducer] of active) {
        const scale = overlaps ? scaleOf(buffer) : null;
        reducer.begin(scale !== null, scale ?? 1);
      }
      if (factor === 1) loss.backward();
      else loss.backward(tidy(() => fillInto(empty(loss.storage.device, loss.shape, loss.dtype, "backward"), factor)));
      for (const [, reducer] of active) reducer.finish();
    } finally {
      for (const [, reducer] of active) reducer.end();
    }
    if (!overlaps) this.reduceJoined();
  }

  /** Before a step: gradients that wait are reduced, and those that nobody can reduce are refused. */
  complete(window: Window): void {
    const own = [...window.buffers].flatMap((buffer) => this.#reducers.get(buffer) ?? []);
    if (own.some(({ missed }) => missed)) {
      const { rank, worldSize } = this.#ranks;
      throw new CollectiveError(
        `Cannot step: rank ${rank} has gradients from loss.backward(), which are not averaged between the ` +
          `${worldSize} ranks. Call accelerator.backward(loss) instead`,
        { rank, op: "step" },
      );
    }
    // The last micro-batch had no backward pass here.
    if (!window.isPartial) return;
    if (this.globalBatch?.isDeterministic === true) return this.#closeInOrder(window);
    if (this.#reducers.size === 0) return this.#close(window, this.#total(window));
    this.#ranks.checkFree("step");
    if (this.joined !== null) return this.reduceJoined();
    const total = this.#total(window);
    for (const buffer of window.buffers) {
      const reducer = this.#reducers.get(buffer);
      if (reducer?.hasLocal === true && !this.#isHeld(buffer)) reducer.flush(reciprocal(total));
    }
    this.#close(window, total);
  }

  /** Gradients were set to zero. */
  forgotten(window: Window): void {
    if (this.#reducers.size === 0) return;
    for (const buffer of window.buffers) this.#reducers.get(buffer)?.forgive();
  }

  /** Reduces the windows that close, together with ranks that have no batch left; those add what they have accumulated. */
  reduceJoined(): void {
    const weights = this.waiting(({ closes }) => closes);
    if (weights.every((weight) => weight === null)) return;
    const totals = this.joined!.announce(weights);
    this.reduceAll(totals);
    for (const window of new Set(this.#windows.values())) if (window.closes && window.passes > 0) window.isDone = true;
  }

  /** For each reducer the weight of this rank's gradients that wait, in windows that are wanted; null for one that has none. */
  waiting(isWanted: (window: Window) => boolean): (number | null)[] {
    return Array.from(this.#reducers, ([buffer, reducer]) => {
      const window = this.#windows.get(buffer);
      if (!reducer.hasLocal || this.#isHeld(buffer)) return null;
      if (window === undefined || window.count === 0) return 1;
      return isWanted(window) ? window.weight ?? window.count : null;
    });
  }

  /** Reduces what has a weight, in one order on all ranks; a rank that has nothing there takes part with zeros. */
  reduceAll(totals: readonly (number | null)[]): void {
    [...this.#reducers.values()].forEach((reducer, i) => {
      const total = totals[i];
      if (total === null) return;
      if (reducer.hasLocal) reducer.flush(reciprocal(total));
      else noGrad(() => reducer.shadow(reciprocal(total)));
    });
  }
}
