/**
 * The group of GPU ranks of one machine that map each other's memory: the library's own collectives, deterministic and bitwise equal
 * on all ranks, and the fastest ones for small tensors.
 *
 * @module
 */
import { AX } from "../../ffi/constants.ts";
import type { Device } from "../core/device.ts";
import { createCommunicator, NativeProcessGroup } from "./native_group.ts";
import type { Rendezvous } from "./rendezvous.ts";

/** GPUs of one machine. */
export class IpcProcessGroup extends NativeProcessGroup {
  /**
   * @param rendezvous Where the ranks meet; all must be on one machine.
   * @param device This rank's GPU.
   * @throws {UnavailableError} When the GPUs cannot map each other's memory.
   * @throws {CollectiveError} When the others do not come.
   */
  static async create(rendezvous: Rendezvous, device: Device): Promise<IpcProcessGroup> {
    const { environment, timeoutMs } = rendezvous;
    const name = await rendezvous.shareName("ipc");
    const comm = await createCommunicator(environment, device, { backend: AX.COMM_IPC, name, timeoutMs });
    return new IpcProcessGroup(environment, device, comm);
  }
}
