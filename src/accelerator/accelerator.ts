/**
 * The Accelerator: the same training loop in one process or in many.
 *
 * @module
 */
import type { Device, DeviceName } from "../core/device.ts";
import { CollectiveError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { DataLoader } from "../data/data_loader.ts";
import { type DistributedEnvironment, readDistributedEnvironment } from "../distributed/environment.ts";
import { joinProcessGroup } from "../distributed/join.ts";
import type { ProcessGroup } from "../distributed/process_group.ts";
import { Reducer } from "../distributed/reducer.ts";
import { Module } from "../nn/module.ts";
import type { FlatBuffer } from "../optim/flat.ts";
import { Optimizer } from "../optim/optimizer.ts";
import { copied } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";
import { capture, type CapturedStep, type CaptureOptions } from "./capture.ts";
import { mapTensors } from "./nested.ts";
import { chooseDevice, placeModule, placeOptimizer } from "./placement.ts";

/** How the processes of the job work together. */
export type DistributedType = "NO" | "MULTI_CPU" | "MULTI_GPU";

/** Options of the Accelerator. */
export interface AcceleratorOptions {
  /** Train on the CPU even where there is a GPU. Default: what ACCELERATE_USE_CPU says. */
  cpu?: boolean;
  /** How long a rank waits for the others before it gives up. Default 600. */
  timeoutSeconds?: number;
  /** Gradients are averaged in buckets. */
  ddp?: {
    /** Size of a bucket after the first, in megabytes. Default 25. */
    bucketMb?: number;
  };
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
 * accelerator.backward(net.forward(ones([1, 2], { device: accelerator.device })).sum());
 * optimizer.step();
 * await accelerator.end();
 * ```
 */
export class Accelerator {
  /** Index of this process among all. */
  readonly processIndex: number;
  /** Index of this process on its machine. */
  readonly localProcessIndex: number;
  /** Number of processes. */
  readonly numProcesses: number;
  readonly #environment: DistributedEnvironment;
  readonly #device: Device;
  readonly #timeoutMs: number;
  readonly #bucketBytes: number;
  #group: Promise<ProcessGroup> | undefined;
  readonly #reducers = new Map<FlatBuffer, Reducer>();
  readonly #modules = new Set<Module>();
  readonly #buffers = new Set<FlatBuffer>();
  readonly #capturedSteps: CapturedStep<never, unknown>[] = [];

  /**
   * Reads the environment; opens no connection.
   *
   * @param options See {@link AcceleratorOptions}.
   * @throws {LaunchError} When the environment is inconsistent.
   * @throws {DeviceError} When this machine has fewer GPUs than processes.
   */
  constructor({ cpu, timeoutSeconds = 600, ddp: { bucketMb = 25 } = {} }: AcceleratorOptions = {}) {
    if (!(timeoutSeconds > 0)) throw new RangeError(`Cannot wait ${timeoutSeconds} s: timeoutSeconds must be above 0`);
    if (!(bucketMb > 0)) throw new RangeError(`Cannot use buckets of ${bucketMb} MB: bucketMb must be above 0`);
    this.#environment = readDistributedEnvironment();
    this.#timeoutMs = Math.ceil(timeoutSeconds * 1000);
    this.#bucketBytes = bucketMb * 2 ** 20;
    this.processIndex = this.#environment.rank;
    this.localProcessIndex = this.#environment.localRank;
    this.numProcesses = this.#environment.worldSize;
    this.#device = chooseDevice(this.#environment, cpu);
  }

  /** Where models and batches are placed. */
  get device(): DeviceName {
    return this.#device.toString();
  }

  /** Whether this is rank 0. */
  get isMainProcess(): boolean {
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
    if (this.numProcesses === 1) return "NO";
    return this.#device.type === "cuda" ? "MULTI_GPU" : "MULTI_CPU";
  }

  #join(): Promise<ProcessGroup> {
    return this.#group ??= joinProcessGroup(this.#environment, this.#device, this.#timeoutMs);
  }

  /**
   * Makes objects ready: parameters, buffers and the state of optimizers move to the device, parameters become flat and equal to those of
   * rank 0, loaders yield this rank's batches on the device. Other values pass through. The same objects come back, so references that you hold stay good.
   *
   * @param objects Modules, optimizers, loaders, or anything else.
   * @throws {LaunchError} When the other ranks cannot be joined.
   */
  async prepare<T extends unknown[]>(...objects: T): Promise<T> {
    const group = await this.#join();
    for (const object of objects) {
      if (object instanceof Module) {
        this.#modules.add(object);
        for (const buffer of placeModule(object, this.#device)) {
          this.#buffers.add(buffer);
          await this.#synchronize(buffer, group);
        }
      } else if (object instanceof Optimizer) {
        this.#guard(object, placeOptimizer(object, this.#device));
      } else if (object instanceof DataLoader) {
        object.prepare({ rank: group.rank, worldSize: group.worldSize }, this.#device);
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
  #guard(optimizer: Optimizer<any>, buffers: Set<FlatBuffer>): void {
    if (this.numProcesses === 1) return;
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
    } finally {
      for (const reducer of reducers) reducer.end();
    }
  }

  /**
   * Makes a training step that costs the host one call. On a GPU, its first call with inputs of some shapes runs as it is; the second one
   * records what it does as a CUDA graph, and from then on the graph is replayed: forward, backward, optimizer and the average between ranks.
   * The step sees changed learning rates, a schedule's step() and new random numbers as without it. On the CPU it is the function itself.
   *
   * What the function does in JavaScript happens when it is recorded, not in replays: it must do the same operations each time, must not read
   * values (`item()`; return the tensor instead), and gets what differs between calls as arguments. A returned tensor is overwritten by the
   * next call, unless it is a scalar.
   *
   * @param step Tensors, and plain values that never change the shapes, to a tensor or a structure of them. Synchronous.
   * @param options See {@link CaptureOptions}.
   * @throws {CaptureError} From the step, when it does what cannot be recorded; the message names it.
   *
   * @example
   * ```ts
   * import { Accelerator, nn, ones, optim, type Tensor } from "../../mod.ts";
   * const accelerator = new Accelerator();
   * const model = new nn.Linear(2, 1);
   * const [net, optimizer] = await accelerator.prepare(model, new optim.SGD(model.parameters()));
   * const train = accelerator.capture((x: Tensor) => {
   *   optimizer.zeroGrad();
   *   const loss = net.forward(x).square().mean();
   *   accelerator.backward(loss);
   *   optimizer.step();
   *   return loss;
   * });
   * for (let step = 0; step < 3; step++) console.log(train(ones([4, 2], { device: accelerator.device })).item());
   * await accelerator.end();
   * ```
   */
  capture<Inputs extends unknown[], Result>(
    step: (...inputs: Inputs) => Result,
    options: CaptureOptions = {},
  ): CapturedStep<Inputs, Result> {
    const captured = capture(this.#device, step, { modules: this.#modules, buffers: this.#buffers }, options);
    this.#capturedSteps.push(captured as unknown as CapturedStep<never, unknown>);
    return captured;
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
    const group = await this.#join();
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
    await (await this.#join()).barrier();
  }

  /** Ends the job: waits for every rank and leaves the group. */
  async end(): Promise<void> {
    if (this.#group === undefined) return;
    const group = await this.#group;
    await group.barrier();
    this.#group = undefined;
    for (const step of this.#capturedSteps.splice(0)) step.dispose();
    for (const reducer of this.#reducers.values()) reducer.close();
    this.#reducers.clear();
    await group.close();
  }
}
