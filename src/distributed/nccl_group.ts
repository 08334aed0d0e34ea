/**
 * The group of GPU ranks of any number of machines, over NCCL.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import type { Device } from "../core/device.ts";
import { createCommunicator, NativeProcessGroup } from "./native_group.ts";
import type { Rendezvous } from "./rendezvous.ts";

/** GPUs that NCCL connects. */
export class NcclProcessGroup extends NativeProcessGroup {
  readonly #rendezvous: Rendezvous;

  private constructor(rendezvous: Rendezvous, device: Device, comm: number) {
    super(rendezvous.environment, device, comm);
    this.#rendezvous = rendezvous;
  }

  /**
   * @param rendezvous Where the ranks meet; it stays open as long as the group.
   * @param device This rank's GPU.
   * @throws {UnavailableError} When there is no NCCL.
   * @throws {CollectiveError} When the others do not come.
   */
  static async create(rendezvous: Rendezvous, device: Device): Promise<NcclProcessGroup> {
    const { library } = device;
    const { environment, timeoutMs } = rendezvous;
    const makeId = (): Uint8Array<ArrayBuffer> => {
      const id = new Uint8Array(AX.NCCL_ID_BYTES);
      check(library.ax_nccl_id(id), "ax_nccl_id", library);
      return id;
    };
    const ncclId = await rendezvous.shareFromFirst("nccl-id", makeId);
    // Ranks of one machine watch each other through shared memory; NCCL alone cannot say which rank died.
    const name = rendezvous.isOneMachine ? await rendezvous.shareName("nccl") : "";
    const comm = await createCommunicator(environment, device, { backend: AX.COMM_NCCL, name, ncclId, timeoutMs });
    return new NcclProcessGroup(rendezvous, device, comm);
  }

  override async barrier(): Promise<void> {
    const { isOneMachine, store, timeoutMs } = this.#rendezvous;
    if (isOneMachine) return await super.barrier();
    await this.ready();
    await store.barrier("nccl", { rank: this.rank, worldSize: this.worldSize, timeoutMs });
  }
}
