/**
 * Which NVIDIA GPUs this machine offers.
 *
 * @module
 */
import { cudaCount } from "./device.ts";
import { env } from "./env.ts";

/**
 * Number of NVIDIA GPUs that this process may open, without opening a driver. Device nodes count, not /proc/driver/nvidia: a container without GPUs sees
 * the latter on a machine that has some.
 *
 * @param deviceDirectory Where the device nodes are.
 */
export function countGpuNodes(deviceDirectory = "/dev"): number {
  try {
    return [...Deno.readDirSync(deviceDirectory)].filter(({ name }) => /^nvidia[0-9]+$/.test(name)).length;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/**
 * Number of GPUs to train on. A machine without device nodes need not have the CUDA library, but one that the user names decides, such as
 * that of an emulated GPU.
 */
export function availableGpus(): number {
  return env("ACCELERATE_CUDA_LIBRARY") === undefined ? countGpuNodes() : cudaCount();
}
