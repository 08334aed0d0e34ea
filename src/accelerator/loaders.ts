/**
 * The loaders of an Accelerator: which of their batches is being used.
 *
 * @module
 */
import type { DataLoader } from "../data/data_loader.ts";
import type { DispatchNote, Scatter } from "../data/dispatch.ts";
import type { Iteration, LoaderObserver } from "../data/iteration.ts";
import type { GlobalBatch } from "./global_batch.ts";
import { decode, encode } from "./objects.ts";
import type { Ranks } from "./ranks.ts";

/** How loaders are prepared. */
export interface DataLoaderConfiguration {
  /** A loader's batchSize is that of all ranks together. Default false: of each rank. */
  splitBatches?: boolean;
  /** Rank 0 reads for all and sends each rank its batch. Default false: every rank reads for itself. */
  dispatchBatches?: boolean;
  /**
   * Fill the last batches from the beginning of the epoch, so that all ranks have equally many and equally large ones. Default true.
   * Without it, use `joinUnevenInputs`.
   */
  evenBatches?: boolean;
}

type AnyLoader = DataLoader<unknown, unknown>;

/** Hands out batches that rank 0 has made. */
function scatterOver(ranks: Ranks): Scatter {
  return async (note, parts) => {
    const isReader = ranks.rank === 0;
    // Each part is encoded alone, so that a rank makes only its own.
    const blobs = isReader ? (parts ?? []).map((part, rank) => rank === 0 ? new Uint8Array(0) : encode(part)) : [];
    const own = isReader ? encode({ note, blobs }) : new Uint8Array(0);
    return await ranks.run("dispatch a batch", (turn) => {
      const bytes = turn.bytes(own, turn.agree("dispatch a batch", "from process 0", own.length))[0];
      if (isReader) return { note: note!, part: () => undefined };
      const message = decode(bytes) as { note: DispatchNote; blobs: Uint8Array<ArrayBuffer>[] };
      return { note: message.note, part: () => decode(message.blobs[ranks.rank]) };
    });
  };
}

/** Prepares loaders and knows which of their iterations yielded last. */
export class Loaders implements LoaderObserver {
  readonly #ranks: Ranks;
  readonly #configuration: DataLoaderConfiguration;
  readonly #globalBatch: GlobalBatch | undefined;
  readonly #prepared = new Set<AnyLoader>();
  /** Iterations that run; the one that yielded last is at the end. */
  readonly #running: Iteration[] = [];

  /**
   * @param ranks The ranks.
   * @param configuration See {@link DataLoaderConfiguration}.
   * @param globalBatch Steps of a fixed number of samples, if they are wanted.
   */
  constructor(ranks: Ranks, configuration: DataLoaderConfiguration, globalBatch?: GlobalBatch) {
    this.#ranks = ranks;
    this.#globalBatch = globalBatch;
    this.#configuration = configuration;
  }

  /** The iteration whose batch is being used, if any. */
  get current(): Iteration | undefined {
    return this.#running[this.#running.length - 1];
  }

  /** The loaders, in the order of their preparation. */
  get prepared(): ReadonlySet<AnyLoader> {
    return this.#prepared;
  }

  prepare(loader: AnyLoader): void {
    if (this.#prepared.has(loader)) return;
    const { dispatchBatches = false, ...placement } = this.#configuration;
    const { rank, worldSize } = this.#ranks;
    loader.prepare({ rank, worldSize }, this.#ranks.device, {
      ...placement,
      observer: this,
      ...(this.#globalBatch === undefined ? {} : { globalBatch: this.#globalBatch }),
      ...(dispatchBatches && worldSize > 1 ? { scatter: scatterOver(this.#ranks) } : {}),
    });
    this.#prepared.add(loader);
  }

  /** Gives loaders back, all or those named. */
  async release(loaders: Iterable<AnyLoader> = [...this.#prepared]): Promise<void> {
    for (const loader of loaders) {
      if (!this.#prepared.delete(loader)) continue;
      loader.prepare({ rank: 0, worldSize: 1 }, undefined);
      await loader.close();
    }
  }

  onBatch(iteration: Iteration): void {
    this.#globalBatch?.enterPart(iteration);
    if (this.current === iteration) return;
    this.#remove(iteration);
    this.#running.push(iteration);
  }

  onEnd(iteration: Iteration): void {
    this.#remove(iteration);
    if (this.#running.length === 0) this.#globalBatch?.leaveParts();
  }

  #remove(iteration: Iteration): void {
    const index = this.#running.indexOf(iteration);
    if (index !== -1) this.#running.splice(index, 1);
  }
}
