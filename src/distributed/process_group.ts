/**
 * What ranks say to each other, behind one interface, and the group of a job of one process.
 *
 * @module
 */
import type { Tensor } from "../tensor.ts";

/** How values of ranks are combined. */
export type ReduceOp = "sum" | "max" | "min";

/** The ranks of a job. All of them must call the same operations in the same order. */
export interface ProcessGroup {
  readonly rank: number;
  readonly worldSize: number;
  /** In place: `scale` times the reduction over all ranks, bitwise equal on all. Blocks the thread. */
  allReduce(values: Tensor, op: ReduceOp, scale: number): void;
  /** In place: the values of `root`. */
  broadcast(values: Tensor, root: number): void;
  /** The tensors of all ranks, which have one shape, along a new first dimension. */
  allGather(values: Tensor): Tensor;
  /** Resolves when every rank is here, without blocking the thread for long. */
  arrive(): Promise<void>;
  /** Leaves the group. */
  close(): Promise<void>;
}

/** A job of one process: every operation is finished before it begins. */
export class SingleProcessGroup implements ProcessGroup {
  readonly rank = 0;
  readonly worldSize = 1;

  allReduce(): void {}

  broadcast(): void {}

  allGather(values: Tensor): Tensor {
    return values.unsqueeze(0);
  }

  arrive(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
