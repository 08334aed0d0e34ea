/**
 * Memory statistics by device name.
 *
 * @module
 */
import { defaultDevice, device as findDevice, type DeviceName } from "./core/device.ts";
import { type AllocatorStats, readMemoryStats } from "./core/memory.ts";
import { liveScalars } from "./core/scalar_slab.ts";
import { flushReleases, reclaimedByCollector } from "./core/storage.ts";

/** Memory of a device, and what JavaScript knows of it. */
export interface MemoryStats extends AllocatorStats {
  /** Scalars that the garbage collector has not given back; they share a few storages of the category `scalar`. */
  liveScalars: number;
  /** Storages that only the garbage collector freed so far: a loop without scopes makes this grow. */
  reclaimedByCollector: number;
}

/**
 * What the allocator of a device holds: live, cached and peak bytes, and the live ones by what they are for.
 *
 * @param device By default the one on which tensors are made.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { memoryStats, ones } from "../mod.ts";
 * const before = memoryStats().liveBytes;
 * const x = ones([1000]);
 * assert(memoryStats().liveBytes - before === 4000);
 * x.dispose();
 * ```
 */
export function memoryStats(device?: DeviceName): MemoryStats {
  const found = device === undefined ? defaultDevice() : findDevice(device);
  flushReleases();
  return {
    ...readMemoryStats(found),
    liveScalars: liveScalars(found),
    reclaimedByCollector: reclaimedByCollector(),
  };
}
