/**
 * Where the Accelerator computes: the choice of the device, and moving there what is prepared.
 *
 * @module
 */
import { cpuDevice, cudaCount, type Device, device as findDevice } from "../core/device.ts";
import { env } from "../core/env.ts";
import { DeviceError } from "../core/errors.ts";
import { availableGpus } from "../core/gpus.ts";
import { type DistributedEnvironment, readAccelerateEnvironment } from "../distributed/environment.ts";
import type { Module } from "../nn/module.ts";
import { moveTensors } from "../nn/move.ts";
import { type FlatBuffer, flatten, moveBuffer } from "../optim/flat.ts";
import type { Optimizer } from "../optim/optimizer.ts";

/**
 * The device of a process: the GPU whose index is its rank on the machine, or the CPU where there is no GPU or the user wants it.
 *
 * @param environment The place of the process in its job.
 * @param cpu What the Accelerator's option says.
 * @throws {DeviceError} When there are more processes than GPUs on this machine.
 */
export function chooseDevice({ localRank, localWorldSize }: DistributedEnvironment, cpu: boolean | undefined): Device {
  if (cpu ?? readAccelerateEnvironment().cpu) return cpuDevice();
  // With device nodes the driver decides how many of them can be used.
  const count = availableGpus() === 0 ? 0 : cudaCount();
  if (count === 0) return cpuDevice();
  const isShared = env("ACCELERATE_SHARE_GPU") === "1";
  if (localRank >= count && !isShared) {
    throw new DeviceError(
      `Cannot give the process of local rank ${localRank} a GPU: this machine shows ${count}, and ${localWorldSize} processes were ` +
        `started. Start at most ${count}, train on the CPU with --cpu, or set ACCELERATE_SHARE_GPU=1 to let processes share one`,
    );
  }
  return findDevice(`cuda:${localRank % count}`);
}

/** Moves the parameters of a module, flat, and its buffers; returns the flat buffers. All tensors stay the same objects. */
export function placeModule(module: Module, device: Device): Set<FlatBuffer> {
  const buffers = flatten(module.parameters());
  for (const buffer of buffers) moveBuffer(buffer, device);
  moveTensors(module.buffers(), { device: device.toString() });
  return buffers;
}

/** Moves what an optimizer trains, and its state; returns the flat buffers of its parameters. */
// deno-lint-ignore no-explicit-any
export function placeOptimizer(optimizer: Optimizer<any>, device: Device): Set<FlatBuffer> {
  const buffers = flatten(optimizer.paramGroups.flatMap(({ params }) => params));
  for (const buffer of buffers) moveBuffer(buffer, device);
  optimizer.moveState(device);
  return buffers;
}
