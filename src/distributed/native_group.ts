/**
 * A process group over a communicator of a native library; subclasses say how it is made.
 *
 * @module
 */
import { check, isCollectiveFailure, lastError, nativeError } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { type Library, readCString } from "../../ffi/library.ts";
import type { Device } from "../core/device.ts";
import { dtypeBytes, dtypeId } from "../core/dtype.ts";
import { CollectiveError } from "../core/errors.ts";
import { empty } from "../core/op.ts";
import { contiguous } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";
import type { DistributedEnvironment } from "./environment.ts";
import type { ProcessGroup, ReduceOp } from "./process_group.ts";

const OPS: Readonly<Record<ReduceOp, number>> = { sum: AX.COMM_SUM, max: AX.COMM_MAX, min: AX.COMM_MIN };
const ERROR_BYTES = 1024;
const SOURCES = new URL("../", import.meta.url).href;

/** The user's line that made the call: the innermost frame outside of this library's sources. */
function callSite(): string {
  const frames = (new Error().stack ?? "").split("\n").slice(1);
  return frames.find((frame) => frame.includes("://") && !frame.includes(SOURCES))?.trim().replace(/^at /, "") ?? "";
}

/** What makes a communicator. */
export interface CommunicatorOptions {
  /** AX.COMM_SHM, AX.COMM_IPC or AX.COMM_NCCL. */
  readonly backend: number;
  /** Unique to the job and the group; empty when ranks are on several machines. */
  readonly name: string;
  /** For NCCL, the same on all ranks. */
  readonly ncclId?: Uint8Array<ArrayBuffer>;
  /** Bounds joining and every wait of the collectives. */
  readonly timeoutMs: number;
}

/** The native library cannot make such a communicator on this machine. */
export class UnavailableError extends Error {
  override readonly name = "UnavailableError";
}

/** Makes a communicator of all ranks and returns its id. */
export async function createCommunicator(
  { rank, worldSize }: DistributedEnvironment,
  device: Device,
  { backend, name, ncclId, timeoutMs }: CommunicatorOptions,
): Promise<number> {
  const library = device.library;
  const comm = new Uint32Array(1);
  const error = new Uint8Array(ERROR_BYTES);
  const nameBytes = new TextEncoder().encode(`${name}\0`);
  const status = await library.ax_comm_create(
    comm,
    backend,
    nameBytes,
    ncclId ?? null,
    device.index,
    rank,
    worldSize,
    timeoutMs,
    error,
    error.length,
  );
  if (status === AX.OK) return comm[0];
  const message = readCString(error);
  if (status === AX.ERROR_UNSUPPORTED) throw new UnavailableError(message);
  const failed = new Int32Array(1);
  check(library.ax_comm_failed_rank(failed, 0), "ax_comm_failed_rank", library);
  throw new CollectiveError(`Rank ${rank} cannot join: ${message}`, { rank: failed[0], op: "join" });
}

/** Ranks that a native communicator connects. */
export class NativeProcessGroup implements ProcessGroup {
  readonly rank: number;
  readonly worldSize: number;
  readonly #library: Library;
  readonly #comm: number;
  #closed = false;

  constructor(environment: DistributedEnvironment, device: Device, comm: number) {
    this.rank = environment.rank;
    this.worldSize = environment.worldSize;
    this.#library = device.library;
    this.#comm = comm;
  }

  #failure(status: number, op: string, message: string): Error {
    if (!isCollectiveFailure(status)) return nativeError(status, `ax_comm_${op}`, this.#library);
    const failed = new Int32Array(1);
    check(this.#library.ax_comm_failed_rank(failed, this.#comm), "ax_comm_failed_rank", this.#library);
    const site = callSite();
    const where = site === "" ? "" : ` (called at ${site})`;
    return new CollectiveError(`Rank ${this.rank} cannot finish ${op}: ${message}${where}`, {
      rank: failed[0],
      op,
      callSite: site,
    });
  }

  #check(status: number, op: string): void {
    if (status !== AX.OK) throw this.#failure(status, op, lastError(this.#library));
  }

  startAllReduce(values: Tensor, op: ReduceOp, scale: number): void {
    const { dtype, storage, offset, size } = values;
    const comm = this.#comm;
    const status = this.#library.ax_comm_all_reduce(comm, OPS[op], dtypeId(dtype), storage.id, offset, size, scale);
    this.#check(status, "all_reduce");
  }

  finish(): void {
    this.#check(this.#library.ax_comm_finish(this.#comm), "finish");
  }

  allReduce(values: Tensor, op: ReduceOp, scale: number): void {
    this.startAllReduce(values, op, scale);
    this.finish();
  }

  reduceScatter(values: Tensor, op: ReduceOp, scale: number): Tensor {
    const source = contiguous(values);
    const out = empty(source.storage.device, source.shape.slice(1), source.dtype, "reduce_scatter");
    this.#check(
      this.#library.ax_comm_reduce_scatter(
        this.#comm,
        OPS[op],
        dtypeId(source.dtype),
        out.storage.id,
        out.offset,
        source.storage.id,
        source.offset,
        out.size,
        scale,
      ),
      "reduce_scatter",
    );
    this.finish();
    return out;
  }

  broadcast(values: Tensor, root: number): void {
    const bytes = dtypeBytes(values.dtype);
    const { storage, offset, size } = values;
    const status = this.#library.ax_comm_broadcast(this.#comm, storage.id, offset * bytes, size * bytes, root);
    this.#check(status, "broadcast");
    this.finish();
  }

  allGather(values: Tensor): Tensor {
    const source = contiguous(values);
    const out = empty(source.storage.device, [this.worldSize, ...source.shape], source.dtype, "gather");
    const bytes = dtypeBytes(source.dtype);
    this.#check(
      this.#library.ax_comm_all_gather(
        this.#comm,
        out.storage.id,
        out.offset * bytes,
        source.storage.id,
        source.offset * bytes,
        source.size * bytes,
      ),
      "all_gather",
    );
    this.finish();
    return out;
  }

  async ready(): Promise<void> {
    const ready = new Int32Array(1);
    this.#check(this.#library.ax_comm_poll(ready, this.#comm), "wait");
    if (ready[0] === 1) return;
    const error = new Uint8Array(ERROR_BYTES);
    const status = await this.#library.ax_comm_wait(this.#comm, error, error.length);
    if (status !== AX.OK) throw this.#failure(status, "wait", readCString(error));
  }

  async barrier(): Promise<void> {
    await this.ready();
    this.#check(this.#library.ax_comm_barrier(this.#comm), "barrier");
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#check(this.#library.ax_comm_destroy(this.#comm), "destroy");
    }
    return Promise.resolve();
  }
}
