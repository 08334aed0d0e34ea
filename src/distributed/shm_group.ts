/**
 * The group of CPU ranks of one machine, over the shared-memory collectives of the native library.
 *
 * @module
 */
import { check, lastError, nativeError } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { type Library, readCString } from "../../ffi/library.ts";
import type { Device } from "../core/device.ts";
import { dtypeBytes, dtypeId } from "../core/dtype.ts";
import { CollectiveError, LaunchError } from "../core/errors.ts";
import { empty } from "../core/op.ts";
import { contiguous } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";
import type { DistributedEnvironment } from "./environment.ts";
import type { ProcessGroup, ReduceOp } from "./process_group.ts";
import { StoreClient } from "./store.ts";

const OPS: Readonly<Record<ReduceOp, number>> = { sum: AX.COMM_SUM, max: AX.COMM_MAX, min: AX.COMM_MIN };
const ERROR_BYTES = 1024;
const SOURCES = new URL("../", import.meta.url).href;

/** The user's line that made the call: the innermost frame outside of this library's sources. */
function callSite(): string {
  const frames = (new Error().stack ?? "").split("\n").slice(1);
  return frames.find((frame) => frame.includes("://") && !frame.includes(SOURCES))?.trim().replace(/^at /, "") ?? "";
}

/** Groups that this process has made: all ranks make theirs in one order, so the number names a group. */
let groupCount = 0;

/** Ranks of one machine. */
export class ShmProcessGroup implements ProcessGroup {
  readonly device: Device;
  readonly rank: number;
  readonly worldSize: number;
  readonly #library: Library;
  readonly #store: StoreClient;
  readonly #timeoutMs: number;
  readonly #name: string;
  #comm = 0;
  #isJoined = false;
  #isClosed = false;
  /** How often the collectives were joined, and how often ranks met. */
  #joins = 0;
  #meetings = 0;

  private constructor(
    name: string,
    environment: DistributedEnvironment,
    device: Device,
    store: StoreClient,
    timeoutMs: number,
  ) {
    this.#name = name;
    this.rank = environment.rank;
    this.worldSize = environment.worldSize;
    this.device = device;
    this.#library = device.library;
    this.#store = store;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Meets the other ranks through the store.
   *
   * @param environment The place of this process; all ranks must be on one machine.
   * @param device Whose library holds the collectives.
   * @param timeoutMs Bounds this call and every wait of the collectives.
   * @throws {LaunchError} When ranks are on several machines.
   * @throws {CollectiveError} When the others do not come.
   */
  static async join(environment: DistributedEnvironment, device: Device, timeoutMs: number): Promise<ShmProcessGroup> {
    const { rank, worldSize, localWorldSize, masterAddress, masterPort, storeSecret } = environment;
    if (localWorldSize !== worldSize) {
      throw new LaunchError(
        `Cannot join ${worldSize} processes of which ${localWorldSize} are on this machine: jobs of several machines are not ` +
          `available yet. Start all processes on one machine`,
      );
    }
    const name = `group${groupCount++}`;
    const store = await StoreClient.connect({
      hostname: masterAddress,
      port: masterPort,
      secret: storeSecret ?? "",
      rank,
      timeoutMs,
    });
    const group = new ShmProcessGroup(name, environment, device, store, timeoutMs);
    try {
      await group.rejoin();
      return group;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  async rejoin(): Promise<void> {
    this.abandon();
    const key = `${this.#name}/join${this.#joins++}`;
    if (this.rank === 0) await this.#store.set(key, new TextEncoder().encode(`accelerate-${crypto.randomUUID()}`));
    const name = await this.#store.get(key, { timeoutMs: this.#timeoutMs });
    const terminated = new Uint8Array(name.length + 1);
    terminated.set(name);
    const comm = new Uint32Array(1);
    const error = new Uint8Array(ERROR_BYTES);
    const { ax_comm_create: create } = this.#library;
    const status = await create(comm, terminated, this.rank, this.worldSize, this.#timeoutMs, error, error.length);
    if (status !== AX.OK) throw new CollectiveError(readCString(error), { rank: -1, op: "join" });
    this.#comm = comm[0];
    this.#isJoined = true;
  }

  abandon(): void {
    if (!this.#isJoined) return;
    this.#isJoined = false;
    this.#check(this.#library.ax_comm_destroy(this.#comm), "destroy");
  }

  async meet(text: string): Promise<string[]> {
    const prefix = `${this.#name}/meeting${this.#meetings++}/`;
    const keys = Array.from({ length: this.worldSize }, (_, rank) => prefix + rank);
    await this.#store.set(keys[this.rank], new TextEncoder().encode(text));
    const texts = await Promise.all(keys.map((key) => this.#store.get(key, { timeoutMs: this.#timeoutMs })));
    // The last one to leave cleans up.
    if (await this.#store.add(`${prefix}left`, 1) === this.worldSize) {
      await Promise.all([...keys, `${prefix}left`].map((key) => this.#store.delete(key)));
    }
    return texts.map((bytes) => new TextDecoder().decode(bytes));
  }

  #failure(status: number, op: string, message: string): Error {
    if (status !== AX.ERROR_TIMEOUT && status !== AX.ERROR_PEER && status !== AX.ERROR_MISMATCH) {
      return nativeError(status, `ax_comm_${op}`, this.#library);
    }
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

  allReduce(values: Tensor, op: ReduceOp, scale: number): void {
    this.#check(
      this.#library.ax_comm_all_reduce(
        this.#comm,
        OPS[op],
        dtypeId(values.dtype),
        values.storage.id,
        values.offset,
        values.size,
        scale,
      ),
      "all_reduce",
    );
  }

  broadcast(values: Tensor, root: number): void {
    const bytes = dtypeBytes(values.dtype);
    this.#check(
      this.#library.ax_comm_broadcast(
        this.#comm,
        values.storage.id,
        values.offset * bytes,
        values.size * bytes,
        root,
      ),
      "broadcast",
    );
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

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.abandon();
    await this.#store.close();
  }
}
