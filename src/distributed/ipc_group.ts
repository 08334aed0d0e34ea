/**
 * The group of GPU ranks of one machine that map each other's memory: the library's own collectives, deterministic and bitwise equal
 * on all ranks, and the fastest ones for small tensors.
 *
 * @module
 */
import { AX } from "../../ffi/constants.ts";
import type { Device } from "../core/device.ts";
import type { DistributedEnvironment } from "./environment.ts";
import { createCommunicator, NativeProcessGroup } from "./native_group.ts";
import { shareName } from "./rendezvous.ts";
import type { StoreClient } from "./store.ts";

/** GPUs of one machine. */
export class IpcProcessGroup extends NativeProcessGroup {
  /**
   * @param environment The place of this process; all ranks must be on one machine.
   * @param device This rank's GPU.
   * @param store Where all ranks are.
   * @param timeoutMs Bounds this call and every wait of the collectives.
   * @throws {UnavailableError} When the GPUs cannot map each other's memory.
   * @throws {CollectiveError} When the others do not come.
   */
  static async create(
    environment: DistributedEnvironment,
    device: Device,
    store: StoreClient,
    timeoutMs: number,
  ): Promise<IpcProcessGroup> {
    const name = await shareName(store, environment, "ipc", timeoutMs);
    const comm = await createCommunicator(environment, device, { backend: AX.COMM_IPC, name, timeoutMs });
    return new IpcProcessGroup(environment, device, comm);
  }
}
