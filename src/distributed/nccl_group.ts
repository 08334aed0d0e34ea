/**
 * The group of GPU ranks of any number of machines, over NCCL.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import type { Device } from "../core/device.ts";
import type { DistributedEnvironment } from "./environment.ts";
import { createCommunicator, NativeProcessGroup } from "./native_group.ts";
import { shareFromFirst, shareName } from "./rendezvous.ts";
import type { StoreClient } from "./store.ts";

/** GPUs that NCCL connects. */
export class NcclProcessGroup extends NativeProcessGroup {
  readonly #store: StoreClient;
  readonly #timeoutMs: number;
  readonly #isOneMachine: boolean;

  private constructor(
    environment: DistributedEnvironment,
    device: Device,
    comm: number,
    store: StoreClient,
    timeoutMs: number,
  ) {
    super(environment, device, comm);
    this.#store = store;
    this.#timeoutMs = timeoutMs;
    this.#isOneMachine = environment.localWorldSize === environment.worldSize;
  }

  /**
   * @param environment The place of this process.
   * @param device This rank's GPU.
   * @param store Where all ranks are; it stays open as long as the group.
   * @param timeoutMs Bounds this call and every wait of the collectives.
   * @throws {UnavailableError} When there is no NCCL.
   * @throws {CollectiveError} When the others do not come.
   */
  static async create(
    environment: DistributedEnvironment,
    device: Device,
    store: StoreClient,
    timeoutMs: number,
  ): Promise<NcclProcessGroup> {
    const { library } = device;
    const makeId = (): Uint8Array<ArrayBuffer> => {
      const id = new Uint8Array(AX.NCCL_ID_BYTES);
      check(library.ax_nccl_id(id), "ax_nccl_id", library);
      return id;
    };
    const ncclId = await shareFromFirst(store, environment, "nccl-id", makeId, timeoutMs);
    // Ranks of one machine watch each other through shared memory; NCCL alone cannot say which rank died.
    const isOneMachine = environment.localWorldSize === environment.worldSize;
    const name = isOneMachine ? await shareName(store, environment, "nccl", timeoutMs) : "";
    const comm = await createCommunicator(environment, device, { backend: AX.COMM_NCCL, name, ncclId, timeoutMs });
    return new NcclProcessGroup(environment, device, comm, store, timeoutMs);
  }

  override async barrier(): Promise<void> {
    if (this.#isOneMachine) return await super.barrier();
    await this.ready();
    await this.#store.barrier("nccl", { rank: this.rank, worldSize: this.worldSize, timeoutMs: this.#timeoutMs });
  }
}
