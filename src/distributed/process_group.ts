/**
 * What ranks say to each other, behind one interface, and the group of a job of one process.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import type { Tensor } from "../tensor.ts";

/** How values of ranks are combined. */
export type ReduceOp = "sum" | "max" | "min";

/** The ranks of a job. All of them must call the same operations in the same order. */
export interface ProcessGroup {
  /** Where the tensors of its operations must be. */
  readonly device: Device;
  readonly rank: number;
  readonly worldSize: number;
  /** In place, on a contiguous tensor: `scale` times the reduction over all ranks, bitwise equal on all. Blocks the thread. */
  allReduce(values: Tensor, op: ReduceOp, scale: number): void;
  /** In place, on a contiguous tensor: the values of `root`. Blocks the thread. */
  broadcast(values: Tensor, root: number): void;
  /** The tensors of all ranks, which have one shape, along a new first dimension. Blocks the thread. */
  allGather(values: Tensor): Tensor;
  /** Resolves when every rank has come to its next operation, so that this one does not block for long. */
  ready(): Promise<void>;
  /** Resolves when every rank is here. */
  barrier(): Promise<void>;
  /** The texts of all ranks, in rank order. It takes another way than the collectives, so it works after one of them has failed. */
  meet(text: string): Promise<string[]>;
  /** Leaves the collectives: ranks that wait in one, or come to one, get a CollectiveError. {@link rejoin} begins anew. */
  abandon(): void;
  /** Joins the collectives again; every rank must call it. */
  rejoin(): Promise<void>;
  /** Leaves the group. */
  close(): Promise<void>;
}

/** A job of one process: every operation is finished before it begins. */
export class SingleProcessGroup implements ProcessGroup {
  readonly device: Device;
  readonly rank = 0;
  readonly worldSize = 1;

  /** @param device Where this process computes. */
  constructor(device: Device) {
    this.device = device;
  }

  allReduce(): void {}

  broadcast(): void {}

  allGather(values: Tensor): Tensor {
    return values.unsqueeze(0);
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  barrier(): Promise<void> {
    return Promise.resolve();
  }

  meet(text: string): Promise<string[]> {
    return Promise.resolve([text]);
  }

  abandon(): void {}

  rejoin(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
