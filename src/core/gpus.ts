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
    // Without permission to look, there is none to use either.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return 0;
    throw error;
  }
}

/**
 * Number of GPUs of this machine, hidden ones too. A machine without device nodes need not have the CUDA library, but one that the user
 * names decides, such as that of an emulated GPU.
 */
export function availableGpus(): number {
  if (env("ACCELERATE_CUDA_LIBRARY") === undefined) return countGpuNodes();
  // The library counts what CUDA_VISIBLE_DEVICES leaves; the largest index there says how many there are at least.
  const count = cudaCount();
  const named = (env("CUDA_VISIBLE_DEVICES") ?? "").split(",").map(Number).filter(Number.isInteger);
  return count === 0 ? 0 : Math.max(count, ...named.map((index) => index + 1));
}
