/**
 * Ranks of one process, which share a GPU.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { device } from "../../src/core/device.ts";
import { dtypeBytes, dtypeId } from "../../src/core/dtype.ts";
import { readDistributedEnvironment } from "../../src/distributed/environment.ts";
import { createCommunicator } from "../../src/distributed/native_group.ts";
import type { Tensor } from "../../mod.ts";

let names = 0;

/** A name that no other communicator has. */
export function uniqueName(): string {
  return `accelerate-test-${Deno.pid}-${names++}`;
}

/** Ranks of one process. A collective must be started on all of them before one is finished. */
export class LocalRanks implements Disposable {
  readonly count: number;
  readonly library = device("cuda").library;
  readonly #comms: number[];

  private constructor(comms: number[]) {
    this.#comms = comms;
    this.count = comms.length;
  }

  static async join(count: number, timeoutMs = 60_000): Promise<LocalRanks> {
    const name = uniqueName();
    const environment = readDistributedEnvironment(() => undefined);
    return new LocalRanks(
      await Promise.all(
        Array.from(
          { length: count },
          (_, rank) =>
            createCommunicator({ ...environment, rank, worldSize: count }, device("cuda"), {
              backend: AX.COMM_IPC,
              name,
              timeoutMs,
            }),
        ),
      ),
    );
  }

  start(call: (comm: number, rank: number) => number, ranks = this.#comms.keys()): void {
    for (const rank of ranks) check(call(this.#comms[rank], rank), "collective", this.library);
  }

  finish(): void {
    for (const comm of this.#comms) check(this.library.ax_comm_finish(comm), "ax_comm_finish", this.library);
  }

  allReduce(values: readonly Tensor[], op: number, scale: number): void {
    this.start((comm, rank) => {
      const { dtype, storage, offset, size } = values[rank];
      return this.library.ax_comm_all_reduce(comm, op, dtypeId(dtype), storage.id, offset, size, scale);
    });
  }

  broadcast(values: readonly Tensor[], root: number): void {
    this.start((comm, rank) => {
      const { dtype, storage, offset, size } = values[rank];
      const bytes = dtypeBytes(dtype);
      return this.library.ax_comm_broadcast(comm, storage.id, offset * bytes, size * bytes, root);
    });
  }

  allGather(outs: readonly Tensor[], values: readonly Tensor[]): void {
    this.start((comm, rank) => {
      const [out, x] = [outs[rank], values[rank]];
      const bytes = dtypeBytes(x.dtype);
      const at = [out.offset * bytes, x.offset * bytes] as const;
      return this.library.ax_comm_all_gather(comm, out.storage.id, at[0], x.storage.id, at[1], x.size * bytes);
    });
  }

  reduceScatter(outs: readonly Tensor[], values: readonly Tensor[], op: number, scale: number): void {
    this.start((comm, rank) => {
      const [out, x] = [outs[rank], values[rank]];
      return this.library.ax_comm_reduce_scatter(
        comm,
        op,
        dtypeId(x.dtype),
        out.storage.id,
        out.offset,
        x.storage.id,
        x.offset,
        out.size,
        scale,
      );
    });
  }

  [Symbol.dispose](): void {
    for (const comm of this.#comms) this.library.ax_comm_destroy(comm);
  }
}
