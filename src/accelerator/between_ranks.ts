/**
 * The part of the Accelerator that speaks to other ranks.
 *
 * @module
 */
import { broadcast, gather, padAcross, type PadOptions, reduce, type Reduction } from "./collectives.ts";
import { broadcastObject, gatherObject } from "./objects.ts";
import type { Ranks } from "./ranks.ts";
import { splitBetween, type SplitOptions } from "./split.ts";
import { Trigger } from "./trigger.ts";
import { inTurn } from "./turns.ts";

/** Which rank this is, and what ranks do together. */
export abstract class BetweenRanks {
  /** Index of this process among all. */
  readonly processIndex: number;
  /** Index of this process on its machine. */
  readonly localProcessIndex: number;
  /** Number of processes. */
  readonly numProcesses: number;
  readonly #ranks: Ranks;
  readonly #trigger: Trigger;

  /** @internal */
  constructor(ranks: Ranks) {
    this.#ranks = ranks;
    this.#trigger = new Trigger(ranks);
    this.processIndex = ranks.rank;
    this.localProcessIndex = ranks.environment.localRank;
    this.numProcesses = ranks.worldSize;
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

  /**
   * The tensors of all ranks, joined along the first dimension in rank order; scalars become vectors. In one process the value
   * itself.
   *
   * @param value A tensor, or arrays and plain objects of tensors; of the same shapes on every rank.
   * @throws {CollectiveError} On every rank, with the shapes of all, when they differ.
   */
  gather<T>(value: T): Promise<T> {
    return gather(this.#ranks, value);
  }

  /** Combines the tensors of all ranks, each with those in the same place; the arguments stay as they are. */
  reduce<T>(value: T, reduction: Reduction = "sum"): Promise<T> {
    return reduce(this.#ranks, value, reduction);
  }

  /** The tensors of one rank, on all; the arguments stay as they are. */
  broadcast<T>(value: T, fromProcess = 0): Promise<T> {
    return broadcast(this.#ranks, value, fromProcess);
  }

  /**
   * Fills tensors until they are as long as the longest of all ranks in one dimension, so that they can be gathered. A tensor without
   * that dimension stays as it is.
   */
  padAcrossProcesses<T>(value: T, options: PadOptions = {}): Promise<T> {
    return padAcross(this.#ranks, value, options);
  }

  /**
   * The values of all ranks, in rank order: lists are joined, other values become a list. Anything that structured cloning copies, and
   * tensors in arrays and plain objects, which come to the CPU.
   */
  gatherObject<T>(value: T): Promise<T extends readonly (infer Item)[] ? Item[] : T[]> {
    return gatherObject(this.#ranks, value) as Promise<T extends readonly (infer Item)[] ? Item[] : T[]>;
  }

  /** The value of one rank, on all: of the same kinds as for {@link gatherObject}. */
  broadcastObject<T>(value: T, fromProcess = 0): Promise<T> {
    return broadcastObject(this.#ranks, value, fromProcess) as Promise<T>;
  }

  /** Resolves when every rank has called it. */
  async waitForEveryone(): Promise<void> {
    await this.#ranks.run("waitForEveryone", ({ group }) => group.barrier());
  }

  /** Asks all ranks to do something, for example to stop: see {@link checkTrigger}. */
  setTrigger(): void {
    this.#trigger.set();
  }

  /** Whether any rank has called {@link setTrigger} since the last check; every rank must ask, and gets the same answer. */
  checkTrigger(): Promise<boolean> {
    return this.#trigger.check();
  }

  /**
   * Gives each rank its part of a list, a tensor, or an object of them; the first ranks get one more where the division leaves a rest.
   *
   * @param inputs The same on all ranks.
   * @param fn Gets the part; its result is returned.
   * @param options `applyPadding`: repeat the last element of shorter parts.
   */
  splitBetweenProcesses<T, R>(inputs: T, fn: (part: T) => R, options: SplitOptions = {}): R {
    return fn(splitBetween(inputs, this.processIndex, this.numProcesses, options));
  }

  /** Runs a function on the main process, then on the others: to download once. When it fails there, it fails everywhere. */
  mainProcessFirst<T>(fn: () => T | Promise<T>): Promise<T> {
    return inTurn(this.#ranks, "mainProcessFirst", this.isMainProcess, fn);
  }

  /** As {@link mainProcessFirst}, with the first process of each machine. */
  localMainProcessFirst<T>(fn: () => T | Promise<T>): Promise<T> {
    return inTurn(this.#ranks, "localMainProcessFirst", this.isLocalMainProcess, fn);
  }

  #only<T>(name: string, isChosen: boolean, fn: () => T): T | undefined {
    return isChosen ? this.#ranks.regions.run(name, fn) : undefined;
  }

  /** Runs a function on the main process alone; an operation between ranks inside of it throws at once. */
  onMainProcess<T>(fn: () => T): T | undefined {
    return this.#only("onMainProcess()", this.isMainProcess, fn);
  }

  /** Runs a function on the first process of each machine alone. */
  onLocalMainProcess<T>(fn: () => T): T | undefined {
    return this.#only("onLocalMainProcess()", this.isLocalMainProcess, fn);
  }

  /** Runs a function on the last process alone. */
  onLastProcess<T>(fn: () => T): T | undefined {
    return this.#only("onLastProcess()", this.isLastProcess, fn);
  }

  /** Runs a function on one process alone. */
  onProcess<T>(processIndex: number, fn: () => T): T | undefined {
    return this.#only(`onProcess(${processIndex})`, this.processIndex === processIndex, fn);
  }

  /** Runs a function on one process of each machine alone. */
  onLocalProcess<T>(localProcessIndex: number, fn: () => T): T | undefined {
    return this.#only(`onLocalProcess(${localProcessIndex})`, this.localProcessIndex === localProcessIndex, fn);
  }

  /** Prints once per machine, from its first process. */
  print(...values: unknown[]): void {
    if (this.isLocalMainProcess) console.log(...values);
  }
}
