/**
 * How a process becomes a rank of its job.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import type { DistributedEnvironment } from "./environment.ts";
import { GpuProcessGroup } from "./gpu_group.ts";
import { type ProcessGroup, SingleProcessGroup } from "./process_group.ts";
import { ShmProcessGroup } from "./shm_group.ts";

/**
 * Joins the ranks of the job.
 *
 * @param environment The place of this process.
 * @param device Where this rank computes.
 * @param timeoutMs Bounds this call and every wait of the collectives.
 * @throws {LaunchError} When the ranks do not fit together.
 * @throws {CollectiveError} When the others do not come.
 */
export function joinProcessGroup(
  environment: DistributedEnvironment,
  device: Device,
  timeoutMs: number,
): Promise<ProcessGroup> {
  if (environment.worldSize === 1) return Promise.resolve(new SingleProcessGroup());
  const group = device.type === "cuda" ? GpuProcessGroup : ShmProcessGroup;
  return group.join(environment, device, timeoutMs);
}
