/**
 * The workers of a loader. An idle worker does not keep the program alive, so one that is forgotten ends with it.
 *
 * @module
 */
import type { Worker } from "node:worker_threads";
import type { Parcel } from "./parcel.ts";
import type { PortableError, WorkerRequest, WorkerResponse, WorkerSetup } from "./worker_messages.ts";

interface Waiting {
  readonly resolve: (parcel: Parcel) => void;
  readonly reject: (error: Error) => void;
}

class PoolWorker {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #failure: Error | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.unref();
    worker.on("message", (response: WorkerResponse) => this.#receive(response));
    worker.on("error", (error: unknown) => this.fail(asError(error)));
    worker.on("messageerror", (error: unknown) => this.fail(asError(error)));
    worker.on("exit", () => this.fail(new Error("Cannot load: a worker has ended")));
  }

  get load(): number {
    return this.#waiting.size;
  }

  request(message: WorkerRequest): Promise<Parcel> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      if (this.#waiting.size === 0) this.#worker.ref();
      this.#waiting.set(message.id, { resolve, reject });
      this.#worker.postMessage(message);
    });
  }

  #receive(response: WorkerResponse): void {
    const waiting = this.#waiting.get(response.id);
    if (waiting === undefined) return;
    this.#waiting.delete(response.id);
    if (this.#waiting.size === 0) this.#worker.unref();
    if (response.error === undefined) waiting.resolve(response.parcel);
    else waiting.reject(revived(response.error));
  }

  fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  async end(): Promise<void> {
    this.fail(new Error("Cannot load: the loader has ended its workers"));
    await this.#worker.terminate();
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function revived({ name, message, stack }: PortableError): Error {
  const error = new Error(message);
  error.name = name;
  error.stack = stack;
  return error;
}

/** The module that a worker runs. A thread starts from a file or from text, so what was imported over http is imported by text. */
function entry(): URL {
  const url = new URL("./worker.ts", import.meta.url);
  if (url.protocol === "file:") return url;
  return new URL(`data:text/javascript,${encodeURIComponent(`import ${JSON.stringify(url.href)};`)}`);
}

/** Workers that share the batches of a loader. */
export class WorkerPool {
  readonly #workers: readonly PoolWorker[];
  #nextId = 0;
  #isOver = false;

  private constructor(workers: readonly PoolWorker[]) {
    this.#workers = workers;
  }

  /**
   * Starts workers.
   *
   * @param count How many.
   * @param setup What they make.
   */
  static async start(count: number, setup: WorkerSetup): Promise<WorkerPool> {
    const { Worker } = await import("node:worker_threads");
    const start = (): PoolWorker => new PoolWorker(new Worker(entry(), { workerData: setup }));
    return new WorkerPool(Array.from({ length: count }, start));
  }

  /**
   * The batch of these samples, from the worker that has the least to do.
   *
   * @throws {Error} What `get` threw, or why the worker could not make the data set.
   */
  make(indices: readonly number[], seed: number, epoch: number): Promise<Parcel> {
    const least = this.#workers.reduce((best, worker) => worker.load < best.load ? worker : best);
    return least.request({ id: this.#nextId++, indices, seed, epoch });
  }

  /** Ends the workers; what they have begun is rejected. */
  async end(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await Promise.all(this.#workers.map((worker) => worker.end()));
  }
}
