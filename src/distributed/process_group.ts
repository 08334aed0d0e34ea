/**
 * What ranks say to each other, behind one interface, and the group of a job of one process.
 *
 * @module
 */
import type { Tensor } from "../tensor.ts";

/** How values of ranks are combined. */
export type ReduceOp = "sum" | "max" | "min";

/**
 * The ranks of a job. All of them must call the same operations in the same order. Those on tensors of the CPU block the thread; those
 * on a GPU are enqueued like any other operation.
 */
export interface ProcessGroup {
  readonly rank: number;
  readonly worldSize: number;
  /** In place, on a contiguous tensor: `scale` times the reduction over all ranks, bitwise equal on all. */
  allReduce(values: Tensor, op: ReduceOp, scale: number): void;
  /** The same, but on a GPU it runs beside what follows: the result is there after {@link finish}, and until then nothing may use it. */
  startAllReduce(values: Tensor, op: ReduceOp, scale: number): void;
  /** What follows sees the results of all that was started. */
  finish(): void;
  /** Part `rank` of `scale` times the reduction; the first dimension must have the size of the group. */
  reduceScatter(values: Tensor, op: ReduceOp, scale: number): Tensor;
  /** In place, on a contiguous tensor: the values of `root`. */
  broadcast(values: Tensor, root: number): void;
  /** The tensors of all ranks, which have one shape, along a new first dimension. */
  allGather(values: Tensor): Tensor;
  /** Resolves when every rank has come to its next operation, so that this one does not block for long. */
  ready(): Promise<void>;
  /** Resolves when every rank is here. */
  barrier(): Promise<void>;
  /** Leaves the group. */
  close(): Promise<void>;
}

/** A job of one process: every operation is finished before it begins. */
export class SingleProcessGroup implements ProcessGroup {
  readonly rank = 0;
  readonly worldSize = 1;

  allReduce(): void {}

  startAllReduce(): void {}

  finish(): void {}

  reduceScatter(values: Tensor): Tensor {
    return values.select(0, 0);
  }

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

  close(): Promise<void> {
    return Promise.resolve();
  }
}
