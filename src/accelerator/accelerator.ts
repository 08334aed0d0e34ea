/**
 * The Accelerator: the same training loop in one process or in many.
 *
 * @module
 */
import { cpuDevice, type DeviceName } from "../core/device.ts";
import { env } from "../core/env.ts";
import { CollectiveError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { DataLoader } from "../data/data_loader.ts";
import { type DistributedEnvironment, readDistributedEnvironment } from "../distributed/environment.ts";
import { type ProcessGroup, SingleProcessGroup } from "../distributed/process_group.ts";
import { Reducer } from "../distributed/reducer.ts";
import { ShmProcessGroup } from "../distributed/shm_group.ts";
import { Module } from "../nn/module.ts";
import { type FlatBuffer, flatten } from "../optim/flat.ts";
import { Optimizer } from "../optim/optimizer.ts";
import { copied } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";
import { type TrackerChoice, Trackers } from "../tracking/trackers.ts";
import { Checkpoints, type ProjectOptions } from "./checkpoints.ts";
import { mapTensors } from "./nested.ts";
import { PartialGradients } from "./partial_gradients.ts";
import { ObservingMethods } from "./observing_methods.ts";

/** How the processes of the job work together. */
export type DistributedType = "NO" | "MULTI_CPU";

/** Options of the Accelerator. */
export interface AcceleratorOptions {
  /** How long a rank waits for the others before it gives up. Default 600. */
  timeoutSeconds?: number;
  /** Gradients are averaged in buckets. */
  ddp?: {
    /** Size of a bucket after the first, in megabytes. Default 25. */
    bucketMb?: number;
  };
  /** Where checkpoints and logs of this run go. */
  projectDir?: string;
  /** How checkpoints are named and kept. */
  project?: ProjectOptions;
  /** Which trackers `initTrackers` starts. Default "jsonl". */
  logWith?: TrackerChoice | readonly TrackerChoice[];
}

/** How `reduce` combines the values of the ranks. */
export type Reduction = "sum" | "mean" | "max" | "none";

/**
 * Prepares models, optimizers and loaders for the job that this process belongs to, and runs what must agree between its ranks.
 *
 * @example
 * ```ts
 * import { Accelerator, nn, ones, optim } from "../../mod.ts";
 * const accelerator = new Accelerator();
 * const model = new nn.Linear(2, 1);
 * const [net, optimizer] = await accelerator.prepare(model, new optim.SGD(model.parameters()));
 * accelerator.backward(net.forward(ones([1, 2])).sum());
 * optimizer.step();
 * await accelerator.end();
 * ```
 */
export class Accelerator extends ObservingMethods {
  override readonly processIndex: number;
  /** Index of this process on its machine. */
  readonly localProcessIndex: number;
  override readonly numProcesses: number;
  override readonly projectDir: string | undefined;
  readonly #environment: DistributedEnvironment;
  readonly #timeoutMs: number;
  readonly #bucketBytes: number;
  #group: Promise<ProcessGroup> | undefined;
  readonly #reducers = new Map<FlatBuffer, Reducer>();
  /** @internal */
  protected readonly accumulation: PartialGradients;
  /** @internal */
  protected override readonly checkpoints: Checkpoints;
  /** @internal */
  protected override readonly trackerList: Trackers;

  /**
   * Reads the environment; opens no connection.
   *
   * @param options See {@link AcceleratorOptions}.
   * @throws {LaunchError} When the environment is inconsistent.
   */
  constructor(options: AcceleratorOptions = {}) {
    super();
    const { timeoutSeconds = 600, ddp: { bucketMb = 25 } = {}, project = {}, logWith = "jsonl" } = options;
    const projectDir = env("ACCELERATE_PROJECT_DIR") ?? options.projectDir;
    if (!(timeoutSeconds > 0)) throw new RangeError(`Cannot wait ${timeoutSeconds} s: timeoutSeconds must be above 0`);
    if (!(bucketMb > 0)) throw new RangeError(`Cannot use buckets of ${bucketMb} MB: bucketMb must be above 0`);
    this.#environment = readDistributedEnvironment();
    this.#timeoutMs = Math.ceil(timeoutSeconds * 1000);
    this.#bucketBytes = bucketMb * 2 ** 20;
    this.processIndex = this.#environment.rank;
    this.localProcessIndex = this.#environment.localRank;
    this.numProcesses = this.#environment.worldSize;
    this.projectDir = projectDir;
    this.accumulation = new PartialGradients(this.registry);
    this.checkpoints = new Checkpoints({
      registry: this.registry,
      accumulation: this.accumulation,
      projectDir,
      project,
      timeoutMs: this.#timeoutMs,
      join: () => this.join(),
    });
    this.trackerList = new Trackers({ logWith, loggingDir: projectDir, isMainProcess: this.isMainProcess });
  }

  /** Where models and batches are placed. */
  get device(): DeviceName {
    return cpuDevice().toString();
  }

  /** Whether this is rank 0. */
  override get isMainProcess(): boolean {
    return this.processIndex === 0;
  }

  /** Whether this is the first process of its machine. */
  get isLocalMainProcess(): boolean {
    return this.localProcessIndex === 0;
  }

  /** Whether this is the last rank. */
  get isLastProcess(): boolean {
    return this.processIndex === this.numProcesses - 1;
  }

  get distributedType(): DistributedType {
    return this.numProcesses > 1 ? "MULTI_CPU" : "NO";
  }

  /** @internal Joins the other ranks. */
  protected override join(): Promise<ProcessGroup> {
    return this.#group ??= this.numProcesses === 1
      ? Promise.resolve(new SingleProcessGroup())
      : ShmProcessGroup.join(this.#environment, cpuDevice(), this.#timeoutMs);
  }

  /**
   * Makes objects ready: parameters become flat and equal to those of rank 0, loaders yield this rank's batches. Other values
   * pass through. The same objects come back, so references that you hold stay good.
   *
   * @param objects Modules, optimizers, loaders, or anything else.
   * @throws {LaunchError} When the other ranks cannot be joined.
   */
  async prepare<T extends unknown[]>(...objects: T): Promise<T> {
    const group = await this.join();
    for (const object of objects) {
      this.registry.add(object);
      if (object instanceof Module) {
        for (const buffer of flatten(object.parameters())) await this.#synchronize(buffer, group);
      } else if (object instanceof Optimizer) {
        this.#guard(object);
        this.accumulation.watch(object);
      } else if (object instanceof DataLoader) {
        object.prepare({ rank: group.rank, worldSize: group.worldSize }, cpuDevice());
      }
    }
    return objects;
  }

  async #synchronize(buffer: FlatBuffer, group: ProcessGroup): Promise<void> {
    if (group.worldSize === 1 || this.#reducers.has(buffer)) return;
    await group.ready();
    group.broadcast(buffer.values, 0);
    this.#reducers.set(buffer, new Reducer(buffer, group, this.#bucketBytes));
  }

  // deno-lint-ignore no-explicit-any
  #guard(optimizer: Optimizer<any>): void {
    if (this.numProcesses === 1) return;
    const buffers = flatten(optimizer.paramGroups.flatMap(({ params }) => params));
    const own = (): Reducer[] => [...buffers].flatMap((buffer) => this.#reducers.get(buffer) ?? []);
    optimizer.beforeStep = () => {
      if (!own().some(({ missed }) => missed)) return;
      throw new CollectiveError(
        `Cannot step: rank ${this.processIndex} has gradients from loss.backward(), which are not averaged between the ` +
          `${this.numProcesses} ranks. Call accelerator.backward(loss) instead`,
        { rank: this.processIndex, op: "step" },
      );
    };
    optimizer.afterZeroGrad = () => own().forEach((reducer) => reducer.forgive());
  }

  /**
   * Computes gradients; those of prepared models are averaged between the ranks.
   *
   * @throws {CollectiveError} When a rank died, or does not call the same.
   */
  backward(loss: Tensor): void {
    const reducers = [...this.#reducers.values()];
    try {
      for (const reducer of reducers) reducer.begin();
      loss.backward();
      for (const reducer of reducers) reducer.finish();
      this.accumulation.noteBackward();
    } finally {
      for (const reducer of reducers) reducer.end();
    }
  }

  /**
   * The tensors of all ranks, joined along the first dimension in rank order; scalars become vectors. In one process the value
   * itself.
   *
   * @param value A tensor, or arrays and plain objects of tensors; of the same shapes on every rank.
   */
  gather<T>(value: T): Promise<T> {
    return this.#collect(value, (tensor, group) => {
      const all = group.allGather(tensor);
      return tensor.shape.length === 0 ? all : all.reshape([-1, ...tensor.shape.slice(1)]);
    });
  }

  /** Combines the tensors of all ranks, each with those in the same place; the arguments stay as they are. */
  reduce<T>(value: T, reduction: Reduction = "sum"): Promise<T> {
    if (reduction === "none") return Promise.resolve(value);
    return this.#collect(value, (tensor, group) => {
      const out = copied(tensor, "reduce");
      group.allReduce(out, reduction === "max" ? "max" : "sum", reduction === "mean" ? 1 / group.worldSize : 1);
      return out;
    });
  }

  /** The tensors of one rank, on all; the arguments stay as they are. */
  broadcast<T>(value: T, fromProcess = 0): Promise<T> {
    return this.#collect(value, (tensor, group) => {
      const out = copied(tensor, "broadcast");
      group.broadcast(out, fromProcess);
      return out;
    });
  }

  async #collect<T>(value: T, operation: (tensor: Tensor, group: ProcessGroup) => Tensor): Promise<T> {
    const group = await this.join();
    if (group.worldSize === 1) return value;
    await group.ready();
    return noGrad(() => mapTensors(value, (tensor) => operation(tensor.detach(), group)));
  }

  /** Prints once per machine, from its first process. */
  print(...values: unknown[]): void {
    if (this.isLocalMainProcess) console.log(...values);
  }

  /** Resolves when every rank has called it. */
  async waitForEveryone(): Promise<void> {
    await (await this.join()).barrier();
  }

  /** Ends the job: finishes trackers and checkpoints, waits for every rank and leaves the group. */
  override async end(): Promise<void> {
    await this.trackerList.finish();
    await this.flush();
    if (this.#group === undefined) return;
    const group = await this.#group;
    await group.barrier();
    this.#group = undefined;
    for (const reducer of this.#reducers.values()) reducer.close();
    this.#reducers.clear();
    await group.close();
  }
}
