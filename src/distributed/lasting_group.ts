/**
 * A group that can lose its collectives and get new ones: whoever holds it, as reducers do, goes on with the same object.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import type { Tensor } from "../tensor.ts";
import type { DistributedEnvironment } from "./environment.ts";
import { joinProcessGroup } from "./join.ts";
import type { ProcessGroup, ReduceOp } from "./process_group.ts";
import { Rendezvous } from "./rendezvous.ts";

/** The ranks of a job, beyond the life of one communicator. */
export class LastingGroup implements ProcessGroup {
  /** Where this rank computes, and where the tensors of its collectives must be. */
  readonly device: Device;
  readonly rank: number;
  readonly worldSize: number;
  readonly #environment: DistributedEnvironment;
  readonly #timeoutMs: number;
  #group: ProcessGroup;

  private constructor(environment: DistributedEnvironment, device: Device, timeoutMs: number, group: ProcessGroup) {
    this.device = device;
    this.rank = environment.rank;
    this.worldSize = environment.worldSize;
    this.#environment = environment;
    this.#timeoutMs = timeoutMs;
    this.#group = group;
  }

  /** Joins the ranks of the job: see {@link joinProcessGroup}. */
  static async join(environment: DistributedEnvironment, device: Device, timeoutMs: number): Promise<LastingGroup> {
    const group = await joinProcessGroup(environment, device, timeoutMs);
    return new LastingGroup(environment, device, timeoutMs, group);
  }

  /** The texts of all ranks, in rank order. It takes another way than the collectives, so it works after one of them has failed. */
  async meet(text: string): Promise<string[]> {
    if (this.worldSize === 1) return [text];
    const rendezvous = await Rendezvous.open(this.#environment, this.#timeoutMs);
    try {
      return await rendezvous.shareTexts("text", text);
    } finally {
      await rendezvous.close();
    }
  }

  /** Leaves the collectives: ranks that wait in one, or come to one, get a CollectiveError. {@link rejoin} begins anew. */
  async abandon(): Promise<void> {
    await this.#group.close();
  }

  /** Joins new collectives; every rank must call it. */
  async rejoin(): Promise<void> {
    await this.#group.close();
    this.#group = await joinProcessGroup(this.#environment, this.device, this.#timeoutMs);
  }

  allReduce(values: Tensor, op: ReduceOp, scale: number): void {
    this.#group.allReduce(values, op, scale);
  }

  startAllReduce(values: Tensor, op: ReduceOp, scale: number): void {
    this.#group.startAllReduce(values, op, scale);
  }

  finish(): void {
    this.#group.finish();
  }

  reduceScatter(values: Tensor, op: ReduceOp, scale: number): Tensor {
    return this.#group.reduceScatter(values, op, scale);
  }

  broadcast(values: Tensor, root: number): void {
    this.#group.broadcast(values, root);
  }

  allGather(values: Tensor): Tensor {
    return this.#group.allGather(values);
  }

  ready(): Promise<void> {
    return this.#group.ready();
  }

  barrier(): Promise<void> {
    return this.#group.barrier();
  }

  close(): Promise<void> {
    return this.#group.close();
  }
}
