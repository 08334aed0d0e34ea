/**
 * The group of CPU ranks of one machine, over the shared-memory collectives of the native library.
 *
 * @module
 */
import { AX } from "../../ffi/constants.ts";
import type { Device } from "../core/device.ts";
import { LaunchError } from "../core/errors.ts";
import type { DistributedEnvironment } from "./environment.ts";
import { createCommunicator, NativeProcessGroup } from "./native_group.ts";
import { Rendezvous } from "./rendezvous.ts";

/** Ranks of one machine. */
export class ShmProcessGroup extends NativeProcessGroup {
  readonly #rendezvous: Rendezvous;

  private constructor(environment: DistributedEnvironment, device: Device, comm: number, rendezvous: Rendezvous) {
    super(environment, device, comm);
    this.#rendezvous = rendezvous;
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
    const { worldSize, localWorldSize } = environment;
    if (localWorldSize !== worldSize) {
      throw new LaunchError(
        `Cannot join ${worldSize} processes of which ${localWorldSize} are on this machine: jobs of several machines are not ` +
          `available on the CPU. Start all processes on one machine`,
      );
    }
    const rendezvous = await Rendezvous.open(environment, timeoutMs);
    try {
      const name = await rendezvous.shareName("shm");
      const comm = await createCommunicator(environment, device, { backend: AX.COMM_SHM, name, timeoutMs });
      return new ShmProcessGroup(environment, device, comm, rendezvous);
    } catch (error) {
      await rendezvous.close();
      throw error;
    }
  }

  override async close(): Promise<void> {
    await super.close();
    await this.#rendezvous.close();
  }
}
