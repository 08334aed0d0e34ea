/**
 * Regions in which ranks may run out of batches before others: those that have none left take part in the reductions with nothing,
 * and are brought to the state of the last one in the end.
 *
 * @module
 */
import { CollectiveError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { tensor } from "../creation.ts";
import type { LastingGroup } from "../distributed/lasting_group.ts";
import type { Module } from "../nn/module.ts";
import { copyInto } from "../ops/launch.ts";
import type { OptimizerStateDict } from "../optim/optimizer.ts";
import { Tensor } from "../tensor.ts";
import { tidy } from "../tidy.ts";
import type { AccumulationTarget, Gradients } from "./gradients.ts";
import type { JoinedRegion } from "./joined_region.ts";
import type { Loaders } from "./loaders.ts";
import { gatherNothing } from "./metrics.ts";
import { mapLeaves } from "./nested.ts";
import { broadcastObject } from "./objects.ts";
import { type Ranks, type Turn, turnOf } from "./ranks.ts";
import type { Schedulers } from "./schedulers.ts";

/** What ranks announce: how many are still at work, how many reduce, how many gather metrics; then a pair for each reducer. */
const HEAD = 3;

/** A region that all ranks enter, and that each leaves when all have no batch left. */
export class Join implements JoinedRegion {
  readonly #ranks: Ranks;
  readonly #group: LastingGroup;
  readonly #gradients: Gradients;
  /** Gathers metrics without any of one's own. */
  readonly #shadowMetrics: (turn: Turn) => void;
  #announcements = 0;

  /**
   * @param ranks The ranks.
   * @param group Their group.
   * @param gradients What is reduced.
   * @param shadowMetrics Takes part in `gatherForMetrics` of the others.
   */
  constructor(ranks: Ranks, group: LastingGroup, gradients: Gradients, shadowMetrics: (turn: Turn) => void) {
    this.#ranks = ranks;
    this.#group = group;
    this.#gradients = gradients;
    this.#shadowMetrics = shadowMetrics;
  }

  /** `asks`: whether a weight means that this rank reduces, and not only that it has gradients to add. */
  #exchange(
    head: readonly number[],
    weights: readonly (number | null)[],
    asks: boolean,
  ): { head: number[]; totals: (number | null)[] } {
    const sums = tidy(() => {
      const own = [...head, ...weights.flatMap((weight) => weight === null ? [0, 0] : [asks ? 1 : 0, weight])];
      const all = tensor(own, { dtype: "float64", device: this.#ranks.device.toString() });
      this.#group.allReduce(all, "sum", 1);
      return Array.from(all.data(), Number);
    });
    const [working, reducing, gathering] = sums;
    if (reducing > 0 && gathering > 0) {
      throw new CollectiveError(
        `Cannot go on inside joinUnevenInputs: of ${working} ranks that have batches left, ${reducing} call backward and ` +
          `${gathering} call gatherForMetrics. All must call the same`,
        { rank: this.#ranks.rank, op: "joinUnevenInputs" },
      );
    }
    const totals = weights.map((_, i) => sums[HEAD + 2 * i] > 0 ? sums[HEAD + 2 * i + 1] : null);
    return { head: sums.slice(0, HEAD), totals };
  }

  get #nothing(): null[] {
    return new Array(this.#gradients.reducers.size).fill(null);
  }

  announce(weights: readonly (number | null)[]): (number | null)[] {
    this.#announcements++;
    return this.#exchange([1, 1, 0], weights, true).totals;
  }

  /** Says that metrics are gathered next. */
  announceMetrics(): void {
    this.#exchange([1, 0, 1], this.#nothing, false);
  }

  /** Takes part in what the others do until none has a batch left. Returns a rank that was among the last. */
  async shadow(): Promise<number> {
    for (;;) {
      await this.#group.ready();
      const { head: [working, reducing], totals } = this.#exchange(
        [0, 0, 0],
        this.#gradients.waiting(() => true),
        false,
      );
      if (working === 0) break;
      if (reducing > 0) this.#gradients.reduceAll(totals);
      else noGrad(() => tidy(() => this.#shadowMetrics(turnOf(this.#group))));
    }
    return tidy(() => {
      const counts = Array.from(
        this.#group.allGather(
          tensor([this.#announcements], { dtype: "float64", device: this.#ranks.device.toString() }),
        ).data(),
        Number,
      );
      return counts.indexOf(Math.max(...counts));
    });
  }
}

/** What a rank must take over from one that trained longer. */
interface Trained {
  readonly parameters: readonly Tensor[];
  readonly optimizers: readonly OptimizerStateDict[];
  readonly schedulers: readonly Record<string, unknown>[];
}

/** Brings everything that was prepared to the state that a rank has. */
export async function takeOver(
  ranks: Ranks,
  root: number,
  models: Iterable<Module>,
  gradients: Gradients,
  schedulers: Schedulers,
): Promise<void> {
  const tensors = [...models].flatMap((model) => [...model.parameters(), ...model.buffers()]);
  const optimizers = [...gradients.links.keys()];
  const own: Trained = {
    parameters: tensors.map((value) => value.detach()),
    optimizers: optimizers.map((optimizer) => optimizer.stateDict()),
    schedulers: [...schedulers.prepared].map((scheduler) => scheduler.stateDict()),
  };
  const received = await broadcastObject(ranks, own, root);
  if (ranks.rank === root) return;
  const device = ranks.device.toString();
  const trained = mapLeaves(received, (leaf) => leaf instanceof Tensor ? leaf.to({ device }) : leaf) as Trained;
  noGrad(() => tensors.forEach((value, i) => copyInto(value, trained.parameters[i])));
  optimizers.forEach((optimizer, i) => optimizer.loadStateDict(trained.optimizers[i]));
  [...schedulers.prepared].forEach((scheduler, i) => scheduler.loadStateDict(trained.schedulers[i]));
  for (const optimizer of optimizers) optimizer.zeroGrad();
}

/** Options of `joinUnevenInputs`. */
export interface JoinOptions {
  /** Whether prepared loaders fill up the last batches inside. Default false. */
  evenBatches?: boolean;
}

/** What of an Accelerator takes part. */
export interface JoinedParts {
  readonly ranks: Ranks;
  readonly models: Iterable<Module>;
  readonly gradients: Gradients;
  readonly loaders: Loaders;
  readonly schedulers: Schedulers;
}

/** See `Accelerator.joinUnevenInputs`. */
export async function joinUneven<T>(
  { ranks, models, gradients, loaders, schedulers }: JoinedParts,
  target: AccumulationTarget,
  fn: () => T | Promise<T>,
  { evenBatches = false }: JoinOptions,
): Promise<T> {
  ranks.regions.forbid("joinUnevenInputs");
  gradients.windowsOf(target);
  const before = [...loaders.prepared].map((loader) => [loader, loader.setEvenBatches(evenBatches)] as const);
  const restore = (): void => before.forEach(([loader, value]) => void loader.setEvenBatches(value));
  if (ranks.worldSize === 1 || evenBatches) {
    try {
      return await fn();
    } finally {
      restore();
    }
  }
  const group = await ranks.join();
  const join = new Join(ranks, group, gradients, gatherNothing);
  gradients.joined = join;
  let result: T;
  let last: number;
  try {
    result = await ranks.regions.run("joinUnevenInputs()", fn, ["backward", "step", "gatherForMetrics"]);
    last = await join.shadow();
  } finally {
    gradients.joined = null;
    restore();
  }
  await takeOver(ranks, last, models, gradients, schedulers);
  return result;
}
