/**
 * Storages: device memory by its u32 id in the native table.
 *
 * A storage counts the tensors and saved references that hold it (`retain`, `release`); at zero its id joins a list that goes to
 * the library in one call. Only a storage that belongs to no scope is registered with the garbage collector, as a last resort.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import type { Device } from "./device.ts";
import { OutOfMemoryError } from "./errors.ts";
import { formatMemoryStats, readMemoryStats } from "./memory.ts";
import type { Versioned } from "./version.ts";

/** What memory is for; the statistics are kept by it. */
export const CATEGORY = {
  other: AX.MEMORY_OTHER,
  parameter: AX.MEMORY_PARAMETER,
  gradient: AX.MEMORY_GRADIENT,
  optimizer: AX.MEMORY_OPTIMIZER,
  activation: AX.MEMORY_ACTIVATION,
  scalar: AX.MEMORY_SCALAR,
} as const;

/** Ids wait here until so many, or so many bytes, are worth a call. */
const BATCH = 64;
const BATCH_BYTES = 1 << 20;

const idBuffer = new Uint32Array(1);
const pendingIds = new Uint32Array(BATCH);
let pendingCount = 0;
let pendingBytes = 0;
let pendingDevice: Device | undefined;

/** Sends the ids of dead storages to the library. */
export function flushReleases(): void {
  if (pendingCount === 0) return;
  const library = pendingDevice!.library;
  const count = pendingCount;
  pendingCount = 0;
  pendingBytes = 0;
  check(library.ax_storage_release(pendingIds, count), "ax_storage_release", library);
}

function releaseLater(device: Device, id: number, bytes: number): void {
  if (pendingDevice !== device) {
    flushReleases();
    pendingDevice = device;
  }
  pendingIds[pendingCount++] = id;
  pendingBytes += bytes;
  if (pendingCount === BATCH || pendingBytes >= BATCH_BYTES) flushReleases();
}

/** What the collector's callback needs once a storage object is gone; id 0 means that it was released in time. */
interface Reclaimable {
  id: number;
  readonly device: Device;
  readonly bytes: number;
}

/** Small storages that belong to no scope wait here to be registered: most of them are disposed of before that would pay off. */
const YOUNG = 64;
const YOUNG_BYTES = 1 << 14;
const young: Storage[] = [];
let isRegistrationQueued = false;

function registerYoung(): void {
  for (const storage of young) storage.register();
  young.length = 0;
}

function endJob(): void {
  isRegistrationQueued = false;
  registerYoung();
}

let reclaimedCount = 0;

const collector = new FinalizationRegistry<Reclaimable>((held) => {
  if (held.id === 0) return;
  reclaimedCount++;
  releaseLater(held.device, held.id, held.bytes);
});

/** How many storages the garbage collector had to free, because nothing else did. */
export function reclaimedByCollector(): number {
  return reclaimedCount;
}

/** One block of device memory. */
export class Storage implements Versioned {
  readonly id: number;
  readonly bytes: number;
  readonly device: Device;
  /** Holders: tensors and references that autograd saved. Constant for a part of another storage, such as a scalar slot. */
  references = 1;
  version = 0;
  changedAt = 0;
  changedBy = "";
  #reclaimable: Reclaimable | undefined;
  readonly #owner: Storage | null;

  /** @internal Use {@link createStorage} or the scalar slab. */
  constructor(device: Device, id: number, bytes: number, owner: Storage | null) {
    this.device = device;
    this.id = id;
    this.bytes = bytes;
    this.#owner = owner;
  }

  /**
   * The same memory with versions of its own: for tensors that lie in one storage but are no views of each other. It keeps the
   * storage alive and counts no holders.
   */
  part(): Storage {
    return new Storage(this.device, this.id, this.bytes, this.#owner ?? this);
  }

  /** Whether the memory is still there. */
  get isLive(): boolean {
    return this.references > 0;
  }

  /** Adds a holder. */
  retain(): void {
    if (this.#owner === null) this.references++;
  }

  /** Removes a holder; the last one frees the memory. */
  release(): void {
    if (this.#owner !== null || --this.references > 0) return;
    if (this.#reclaimable !== undefined) this.#reclaimable.id = 0;
    releaseLater(this.device, this.id, this.bytes);
  }

  /**
   * Hands the storage to the garbage collector: for memory that belongs to no scope. Small ones at the end of the current job, or as soon
   * as there are many.
   */
  manage(): void {
    if (this.#owner !== null || this.#reclaimable !== undefined) return;
    if (this.bytes > YOUNG_BYTES) return this.register();
    if (young.push(this) === YOUNG) registerYoung();
    if (isRegistrationQueued) return;
    isRegistrationQueued = true;
    queueMicrotask(endJob);
  }

  /** @internal What `manage` puts off. */
  register(): void {
    if (this.#reclaimable !== undefined || this.references <= 0) return;
    this.#reclaimable = { id: this.id, device: this.device, bytes: this.bytes };
    collector.register(this, this.#reclaimable);
  }

  /** Counts the memory under another category. */
  categorize(category: number): void {
    if (this.#owner !== null) return;
    const library = this.device.library;
    check(library.ax_storage_categorize(this.id, category), "ax_storage_categorize", library);
  }
}

function create(device: Device, bytes: number, category: number): Storage {
  const library = device.library;
  let status = library.ax_storage_create(idBuffer, device.index, bytes, category);
  if (status === AX.ERROR_OUT_OF_MEMORY) {
    // What is dead but not sent yet may be enough; then what the allocator caches.
    flushReleases();
    library.ax_memory_trim(device.index);
    status = library.ax_storage_create(idBuffer, device.index, bytes, category);
    if (status === AX.ERROR_OUT_OF_MEMORY) {
      throw new OutOfMemoryError(
        `Cannot allocate ${bytes} bytes on ${device}: use a smaller batch, or release tensors earlier.\n` +
          formatMemoryStats(readMemoryStats(device)),
        { symbol: "ax_storage_create", code: status },
      );
    }
  }
  check(status, "ax_storage_create", library);
  return new Storage(device, idBuffer[0], bytes, null);
}

/**
 * Allocates memory, not initialised, with one holder.
 *
 * @param device Where.
 * @param bytes How many; 0 is allowed.
 * @param category One of {@link CATEGORY}.
 * @throws {OutOfMemoryError} When the device has none left.
 */
export function createStorage(device: Device, bytes: number, category: number = CATEGORY.activation): Storage {
  return create(device, bytes, category);
}
