/**
 * Which NVIDIA GPUs this machine offers, without opening a driver: the launcher must start fast and stay small.
 *
 * @module
 */

/**
 * Number of NVIDIA GPUs that this process may open. Device nodes count, not /proc/driver/nvidia: a container without GPUs sees
 * the latter on a machine that has some.
 *
 * @param deviceDirectory Where the device nodes are.
 */
export function countGpus(deviceDirectory = "/dev"): number {
  try {
    return [...Deno.readDirSync(deviceDirectory)].filter(({ name }) => /^nvidia[0-9]+$/.test(name)).length;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/**
 * The GPUs that CUDA would show: its rules for CUDA_VISIBLE_DEVICES.
 *
 * @param gpuCount How many there are.
 * @param visibleDevices CUDA_VISIBLE_DEVICES; `undefined` when it is unset. Empty hides all.
 * @returns Indices or UUIDs, in CUDA's order.
 */
export function visibleGpus(gpuCount: number, visibleDevices: string | undefined): string[] {
  if (visibleDevices === undefined) return Array.from({ length: gpuCount }, (_, index) => String(index));
  if (gpuCount === 0) return [];
  const ids = visibleDevices.split(",").map((id) => id.trim());
  // CUDA ignores everything from the first entry on that names no device.
  const firstInvalid = ids.findIndex((id) => !(/^[0-9]+$/.test(id) ? Number(id) < gpuCount : /^(GPU|MIG)-/.test(id)));
  return firstInvalid < 0 ? ids : ids.slice(0, firstInvalid);
}
