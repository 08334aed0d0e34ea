/**
 * Scalars live in slots of one storage per device, for as long as somebody holds them: `losses.push(loss)` needs no `keep()`.
 * A slot is freed by the garbage collector; it costs 8 bytes, not a block of the allocator. On the CPU the slab is also mapped
 * into an ArrayBuffer, so that `item()` reads it without a native call.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import type { Device } from "./device.ts";
import { CATEGORY, createStorage, Storage } from "./storage.ts";

/** Bytes of a slot: the largest dtype. */
export const SLOT_BYTES = 8;
const SLOTS = 1 << 15;
/** Slots of a slab that only one recorded step uses. */
const RECORDED_SLOTS = 1 << 9;

interface Slab {
  readonly storage: Storage;
  /** The slab's memory on the CPU, otherwise `undefined`. */
  readonly host: ArrayBuffer | undefined;
}

interface SlotHeld {
  readonly owner: DeviceSlabs;
  readonly slab: Slab;
  readonly slot: number;
}

class DeviceSlabs {
  readonly #device: Device;
  readonly #slots: number;
  #current: Slab;
  #next = 0;
  readonly #free: SlotHeld[] = [];
  liveSlots = 0;

  constructor(device: Device, slots = SLOTS) {
    this.#device = device;
    this.#slots = slots;
    this.#current = this.#createSlab();
  }

  #createSlab(): Slab {
    const storage = createStorage(this.#device, this.#slots * SLOT_BYTES, CATEGORY.scalar);
    // A slab of a recorded step goes with the last of its scalars.
    if (this.#slots < SLOTS) storage.manage();
    return { storage, host: this.#device.type === "cpu" ? mapStorage(storage) : undefined };
  }

  take(): SlotHeld {
    this.liveSlots++;
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#next === this.#slots) {
      this.#current = this.#createSlab();
      this.#next = 0;
    }
    return { owner: this, slab: this.#current, slot: this.#next++ };
  }

  free(held: SlotHeld): void {
    this.liveSlots--;
    this.#free.push(held);
  }
}

/** A view of a CPU storage's memory. It does not keep the memory alive. */
export function mapStorage(storage: Storage): ArrayBuffer {
  const words = new BigUint64Array(2);
  const library = storage.device.library;
  check(library.ax_storage_address(words, storage.id), "ax_storage_address", library);
  const pointer = Deno.UnsafePointer.create(words[0]);
  if (pointer === null) return new ArrayBuffer(0);
  return Deno.UnsafePointerView.getArrayBuffer(pointer, storage.bytes);
}

const slabs = new Map<Device, DeviceSlabs>();
let lastDevice: Device | undefined;
let lastSlabs: DeviceSlabs | undefined;

const collector = new FinalizationRegistry<SlotHeld>((held) => held.owner.free(held));

/** A slot as a storage: all slots of a slab share its id and differ in their byte offset. */
export class ScalarStorage extends Storage {
  /** Where the slot begins in the slab. */
  readonly byteOffset: number;
  /** The slab's memory on the CPU. */
  readonly host: ArrayBuffer | undefined;

  /** @internal Use {@link createScalarStorage}. */
  constructor(slab: Slab, slot: number) {
    super(slab.storage.device, slab.storage.id, SLOT_BYTES, slab.storage);
    this.byteOffset = slot * SLOT_BYTES;
    this.host = slab.host;
  }
}

/** Takes a slot for one scalar of any dtype. */
export function createScalarStorage(device: Device): ScalarStorage {
  if (device !== lastDevice) {
    lastDevice = device;
    lastSlabs = slabs.get(device);
    if (lastSlabs === undefined) slabs.set(device, lastSlabs = new DeviceSlabs(device));
  }
  const held = lastSlabs!.take();
  const storage = new ScalarStorage(held.slab, held.slot);
  collector.register(storage, held);
  return storage;
}

/**
 * Runs a step that is recorded. Its scalars get slots of their own, which nobody else has later: replays write them again.
 *
 * @param device Where the step runs.
 */
export function withOwnScalars<T>(device: Device, step: () => T): T {
  const common = slabs.get(device);
  slabs.set(device, new DeviceSlabs(device, RECORDED_SLOTS));
  lastDevice = undefined;
  try {
    return step();
  } finally {
    if (common === undefined) slabs.delete(device);
    else slabs.set(device, common);
    lastDevice = undefined;
  }
}

/** Scalars that somebody may still hold: slots that the garbage collector has not given back. */
export function liveScalars(device: Device): number {
  return slabs.get(device)?.liveSlots ?? 0;
}
