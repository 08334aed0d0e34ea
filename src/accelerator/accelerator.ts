/**
 * The Accelerator: the same training loop in one process or in many.
 *
 * @module
 */
import { cpuDevice, type DeviceName } from "../core/device.ts";
import { LaunchError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { DataLoader } from "../data/data_loader.ts";
import { readDistributedEnvironment } from "../distributed/environment.ts";
import { type ProcessGroup, SingleProcessGroup } from "../distributed/process_group.ts";
import { Module } from "../nn/module.ts";
import { flatten } from "../optim/flat.ts";
import { Optimizer } from "../optim/optimizer.ts";
import type { Tensor } from "../tensor.ts";

/** How the processes of the job work together. */
export type DistributedType = "NO" | "MULTI_CPU";

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
export class Accelerator {
  /** Index of this process among all. */
  readonly processIndex: number;
  /** Index of this process on its machine. */
  readonly localProcessIndex: number;
  /** Number of processes. */
  readonly numProcesses: number;
  #group: ProcessGroup | undefined;

  /**
   * Reads the environment; opens no connection.
   *
   * @throws {LaunchError} When the environment is inconsistent.
   */
  constructor() {
    const { rank, localRank, worldSize } = readDistributedEnvironment();
    this.processIndex = rank;
    this.localProcessIndex = localRank;
    this.numProcesses = worldSize;
  }

  /** Where models and batches are placed. */
  get device(): DeviceName {
    return cpuDevice().toString();
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
    return this.numProcesses > 1 ? "MULTI_CPU" : "NO";
  }

  #join(): Promise<ProcessGroup> {
    if (this.numProcesses > 1) {
      return Promise.reject(
        new LaunchError(
          `Cannot join ${this.numProcesses} processes: collectives between processes are not available in this version. ` +
            `Run one process with --num-processes 1`,
        ),
      );
    }
    this.#group ??= new SingleProcessGroup();
    return Promise.resolve(this.#group);
  }

  /**
   * Makes objects ready: parameters become flat and equal to those of rank 0, loaders yield this rank's batches. Other values
   * pass through. The same objects come back, so references that you hold stay good.
   *
   * @param objects Modules, optimizers, loaders, or anything else.
   * @throws {LaunchError} When the other ranks cannot be joined.
   */
  async prepare<T extends unknown[]>(...objects: T): Promise<T> {
    const group = await this.#join();
    for (const object of objects) {
      if (object instanceof Module) {
        const parameters = object.parameters();
        flatten(parameters);
        noGrad(() => parameters.forEach((parameter) => group.broadcast(parameter, 0)));
      } else if (object instanceof Optimizer) {
        for (const { params } of object.paramGroups) flatten(params);
      } else if (object instanceof DataLoader) {
        object.prepare({ rank: group.rank, worldSize: group.worldSize }, cpuDevice());
      }
    }
    return objects;
  }

  /** Computes gradients; between ranks they are averaged. */
  backward(loss: Tensor): void {
    loss.backward();
  }

  /** Prints once per machine, from its first process. */
  print(...values: unknown[]): void {
    if (this.isLocalMainProcess) console.log(...values);
  }

  /** Resolves when every rank has called it. */
  async waitForEveryone(): Promise<void> {
    await (await this.#join()).arrive();
  }

  /** Ends the job: waits for every rank and leaves the group. */
  async end(): Promise<void> {
    const group = this.#group;
    if (group === undefined) return;
    this.#group = undefined;
    await group.arrive();
    await group.close();
  }
}
