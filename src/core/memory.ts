/**
 * Memory statistics of a device, as its allocator counts them.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import type { Device } from "./device.ts";

/** Storages and bytes of one category. */
export interface CategoryStats {
  /** How many blocks of memory. */
  storages: number;
  /** Their sizes together. */
  bytes: number;
}

/** Memory of one device. */
export interface AllocatorStats {
  /** Storages that are live. */
  liveStorages: number;
  /** Bytes of the live storages. */
  liveBytes: number;
  /** Bytes that the allocator keeps for reuse. */
  cachedBytes: number;
  /** Largest `liveBytes` so far. */
  peakBytes: number;
  /** Bytes obtained from the system. */
  reservedBytes: number;
  /** Of those, bytes that recorded steps keep for their replays (see `Accelerator.capture`). */
  recordedBytes: number;
  /** Bytes of the GPU that no process uses; 0 on the CPU. */
  freeBytes: number;
  /** Bytes that the GPU has; 0 on the CPU. */
  totalBytes: number;
  /** Live storages by what they are for. */
  categories: Record<"other" | "parameter" | "gradient" | "optimizer" | "activation" | "scalar", CategoryStats>;
}

const room = new Float64Array(AX.MEMORY_STATS);
/** Where the numbers after those of the categories begin. */
const REST = 5 + 2 * AX.MEMORY_CATEGORIES;

/** Reads the statistics of a device. */
export function readMemoryStats(device: Device): AllocatorStats {
  const library = device.library;
  check(library.ax_memory_stats(room, room.length, device.index), "ax_memory_stats", library);
  const category = (index: number): CategoryStats => ({ storages: room[5 + 2 * index], bytes: room[6 + 2 * index] });
  return {
    liveStorages: room[0],
    liveBytes: room[1],
    cachedBytes: room[2],
    peakBytes: room[3],
    reservedBytes: room[4],
    recordedBytes: room[REST],
    freeBytes: room[REST + 1],
    totalBytes: room[REST + 2],
    categories: {
      other: category(AX.MEMORY_OTHER),
      parameter: category(AX.MEMORY_PARAMETER),
      gradient: category(AX.MEMORY_GRADIENT),
      optimizer: category(AX.MEMORY_OPTIMIZER),
      activation: category(AX.MEMORY_ACTIVATION),
      scalar: category(AX.MEMORY_SCALAR),
    },
  };
}

/** The statistics as a table of lines. */
export function formatMemoryStats(stats: AllocatorStats): string {
  const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const lines = Object.entries(stats.categories)
    .filter(([, { storages }]) => storages > 0)
    .map(([name, { storages, bytes }]) => `  ${name.padEnd(10)} ${mebibytes(bytes)} in ${storages} storages`);
  const { liveBytes, cachedBytes, peakBytes, recordedBytes, freeBytes, totalBytes } = stats;
  const rest: string[] = [];
  if (recordedBytes > 0) rest.push(`  recorded steps keep ${mebibytes(recordedBytes)}`);
  if (totalBytes > 0) rest.push(`  the device has ${mebibytes(freeBytes)} free of ${mebibytes(totalBytes)}`);
  return [
    `live ${mebibytes(liveBytes)}, cached ${mebibytes(cachedBytes)}, peak ${mebibytes(peakBytes)}`,
    ...lines,
    ...rest,
  ].join("\n");
}
