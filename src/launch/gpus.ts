/**
 * Which of this machine's NVIDIA GPUs a job may use.
 *
 * @module
 */

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
