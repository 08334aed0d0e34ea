/**
 * Devices: the CPU and the NVIDIA GPUs of this machine. A device knows the library that computes on it.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { cpuLibrary, cudaLibrary, type Library } from "../../ffi/library.ts";
import { DeviceError } from "./errors.ts";

/** A device by name: `"cpu"`, `"cuda"` (the current GPU) or `"cuda:1"`. */
export type DeviceName = "cpu" | "cuda" | `cuda:${number}`;

/** One device; there is exactly one object for each, so devices compare with `===`. */
export class Device {
  /** What kind of processor it is. */
  readonly type: "cpu" | "cuda";
  /** Which one of its kind, from 0. */
  readonly index: number;
  /** @internal The native library that computes on it. */
  readonly library: Library;

  /** @internal Use {@link device}. */
  constructor(type: "cpu" | "cuda", index: number, library: Library) {
    this.type = type;
    this.index = index;
    this.library = library;
  }

  /** `"cpu"` or for example `"cuda:0"`. */
  toString(): DeviceName {
    return this.type === "cpu" ? "cpu" : `cuda:${this.index}`;
  }
}

let cpu: Device | undefined;
const gpus: Device[] = [];

/** The CPU. */
export function cpuDevice(): Device {
  return cpu ??= new Device("cpu", 0, cpuLibrary());
}

const count = new Int32Array(1);

/** Number of GPUs that the CUDA library can use; 0 without a driver. */
export function cudaCount(): number {
  const library = cudaLibrary();
  const status = library.ax_device_count(count);
  if (status === AX.ERROR_DEVICE) return 0;
  check(status, "ax_device_count", library);
  return count[0];
}

/**
 * The device of a name.
 *
 * @throws {DeviceError} When the name is not one, or the machine has no such GPU.
 */
export function device(name: DeviceName | Device): Device {
  if (name instanceof Device) return name;
  if (name === "cpu") return cpuDevice();
  const match = /^cuda(?::(\d+))?$/.exec(name);
  if (match === null) throw new DeviceError(`Cannot use device "${name}": names are "cpu", "cuda" and "cuda:<index>"`);
  const index = Number(match[1] ?? 0);
  const available = cudaCount();
  if (index >= available) {
    throw new DeviceError(
      `Cannot use device "${name}": this machine has ${available} usable GPUs. Use "cpu", or check the driver`,
    );
  }
  return gpus[index] ??= new Device("cuda", index, cudaLibrary());
}

let chosen: Device | undefined;

/** The device of {@link setDefaultDevice}, else the CPU. */
export function defaultDevice(): Device {
  return chosen ?? cpuDevice();
}

/**
 * Where tensors are made from now on when no `device` is given; modules make their parameters there too. PyTorch's `set_default_device`.
 *
 * @param name For example `"cuda"`; `"cpu"` is what it is at the start.
 * @throws {DeviceError} When the name is not one, or the machine has no such GPU.
 *
 * @example
 * ```ts
 * import { ones, setDefaultDevice } from "../../mod.ts";
 * setDefaultDevice("cpu");
 * console.log(ones([2]).device);
 * ```
 */
export function setDefaultDevice(name: DeviceName): void {
  chosen = device(name);
}

/** Names of all devices of this machine, the CPU first. */
export function devices(): DeviceName[] {
  const names: DeviceName[] = ["cpu"];
  for (let i = 0; i < cudaCount(); i++) names.push(`cuda:${i}`);
  return names;
}
