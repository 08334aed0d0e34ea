/**
 * The group of GPU ranks: which collectives carry it follows from the GPUs, the number of machines, and the size of the tensor.
 *
 * @module
 */
import { check, lastError } from "../../ffi/call.ts";
import { type Library, readCString } from "../../ffi/library.ts";
import type { Device } from "../core/device.ts";
import { dtypeBytes } from "../core/dtype.ts";
import { env } from "../core/env.ts";
import { LaunchError } from "../core/errors.ts";
import type { Tensor } from "../tensor.ts";
import type { DistributedEnvironment } from "./environment.ts";
import { IpcProcessGroup } from "./ipc_group.ts";
import { type NativeProcessGroup, UnavailableError } from "./native_group.ts";
import { NcclProcessGroup } from "./nccl_group.ts";
import type { ProcessGroup, ReduceOp } from "./process_group.ts";
import { Rendezvous } from "./rendezvous.ts";

/** Above this NCCL is faster where it is there: it knows the topology, and NVSwitch adds for it. */
const LARGEST_FOR_IPC = 16 << 20;
const TEXT_BYTES = 1024;
/** NCCL from here on accepts several ranks on one GPU. */
const SHARING_NCCL = 23000;

/** What ranks must have in common. */
const COMMON = ["gpu", "capability", "driver", "runtime", "nccl"] as const;

interface Description {
  /** `key=value`, what must be common. */
  readonly common: string;
  /** The GPU's address, unique on one machine. */
  readonly bus: string;
}

/** 23007 is 2.30.7. */
function versionName(version: number): string {
  return version === 0 ? "none" : `${Math.floor(version / 10000)}.${Math.floor(version / 100) % 100}.${version % 100}`;
}

function ncclVersion(library: Library): number {
  const version = new Int32Array(1);
  check(library.ax_nccl_version(version), "ax_nccl_version", library);
  return version[0];
}

function describe(device: Device): string {
  const text = new Uint8Array(TEXT_BYTES);
  const { library } = device;
  check(library.ax_comm_describe(text, text.length, device.index), "ax_comm_describe", library);
  return `${readCString(text)}nccl=${versionName(ncclVersion(library))}\n`;
}

function parse(text: string): Description {
  const values = new Map(text.trim().split("\n").map((line) => line.split("=", 2) as [string, string]));
  return { common: COMMON.map((key) => `${key} ${values.get(key)}`).join(", "), bus: values.get("bus") ?? "" };
}

/**
 * Refuses ranks that do not fit together.
 *
 * @param texts What ax_comm_describe says on each rank.
 * @param localWorldSize Number of ranks on each machine.
 * @param mayShare Whether several ranks may use one GPU.
 * @throws {LaunchError} When models or versions differ, or when two ranks use one GPU.
 */
export function checkDescriptions(texts: readonly string[], localWorldSize: number, mayShare: boolean): void {
  const all = texts.map(parse);
  const other = all.findIndex(({ common }) => common !== all[0].common);
  if (other > 0) {
    throw new LaunchError(
      `Cannot start ${all.length} ranks: mixed GPU models or library versions between ranks. Rank 0 has ${
        all[0].common
      }; ` +
        `rank ${other} has ${
          all[other].common
        }. Choose GPUs of one model with --gpu-ids, and install the same driver and NCCL on ` +
        `every machine`,
    );
  }
  if (mayShare) return;
  const firstOf = new Map<string, number>();
  all.forEach(({ bus }, rank) => {
    const key = `${Math.floor(rank / localWorldSize)} ${bus}`;
    const first = firstOf.get(key);
    if (first !== undefined) {
      throw new LaunchError(
        `Cannot start ${all.length} ranks: each needs a GPU of its own, and ranks ${first} and ${rank} both use the one at ` +
          `${bus}. Start at most one process for each GPU; for tests, ACCELERATE_SHARE_GPU=1 lets them share one`,
      );
    }
    firstOf.set(key, rank);
  });
}

/** Ranks of one or several machines, each with a GPU. */
export class GpuProcessGroup implements ProcessGroup {
  readonly rank: number;
  readonly worldSize: number;
  readonly #small: NativeProcessGroup;
  readonly #large: NativeProcessGroup;
  readonly #rendezvous: Rendezvous;

  private constructor(small: NativeProcessGroup, large: NativeProcessGroup, rendezvous: Rendezvous) {
    this.rank = small.rank;
    this.worldSize = small.worldSize;
    this.#small = small;
    this.#large = large;
    this.#rendezvous = rendezvous;
  }

  /**
   * Meets the other ranks through the store.
   *
   * @param environment The place of this process.
   * @param device This rank's GPU.
   * @param timeoutMs Bounds this call and every wait of the collectives.
   * @throws {LaunchError} When GPU models or versions differ, or when neither kind of collectives can be used; it says what to install.
   * @throws {CollectiveError} When the others do not come.
   */
  static async join(environment: DistributedEnvironment, device: Device, timeoutMs: number): Promise<GpuProcessGroup> {
    const { worldSize, localWorldSize } = environment;
    const choice = env("ACCELERATE_COLLECTIVES");
    if (choice !== undefined && choice !== "ipc" && choice !== "nccl") {
      throw new LaunchError(`ACCELERATE_COLLECTIVES must be ipc or nccl, got "${choice}"`);
    }
    const mayShare = env("ACCELERATE_SHARE_GPU") === "1";
    const rendezvous = await Rendezvous.open(environment, timeoutMs);
    try {
      const texts = await rendezvous.shareTexts("gpu", describe(device));
      checkDescriptions(texts, localWorldSize, mayShare);
      const reasons: string[] = [];
      let ipc: NativeProcessGroup | undefined;
      if (!rendezvous.isOneMachine) reasons.push("the ranks are on several machines");
      else if (choice !== "nccl") {
        ipc = await IpcProcessGroup.create(rendezvous, device).catch((error) => {
          if (!(error instanceof UnavailableError)) throw error;
          reasons.push(error.message);
          return undefined;
        });
      }
      const version = ncclVersion(device.library);
      let nccl: NativeProcessGroup | undefined;
      if (version === 0) reasons.push(lastError(device.library));
      else if (mayShare && version < SHARING_NCCL) reasons.push("NCCL before 2.30 cannot share a GPU between ranks");
      else if (choice !== "ipc") nccl = await NcclProcessGroup.create(rendezvous, device);
      const small = ipc ?? nccl;
      if (small === undefined) {
        throw new LaunchError(`Cannot connect the GPUs of ${worldSize} ranks: ${reasons.join("; ")}`);
      }
      return new GpuProcessGroup(small, nccl ?? small, rendezvous);
    } catch (error) {
      await rendezvous.close();
      throw error;
    }
  }

  #for(bytes: number): NativeProcessGroup {
    return bytes <= LARGEST_FOR_IPC ? this.#small : this.#large;
  }

  startAllReduce(values: Tensor, op: ReduceOp, scale: number): void {
    this.#for(values.size * dtypeBytes(values.dtype)).startAllReduce(values, op, scale);
  }

  finish(): void {
    this.#small.finish();
    if (this.#large !== this.#small) this.#large.finish();
  }

  allReduce(values: Tensor, op: ReduceOp, scale: number): void {
    this.#for(values.size * dtypeBytes(values.dtype)).allReduce(values, op, scale);
  }

  reduceScatter(values: Tensor, op: ReduceOp, scale: number): Tensor {
    return this.#for(values.size * dtypeBytes(values.dtype)).reduceScatter(values, op, scale);
  }

  broadcast(values: Tensor, root: number): void {
    this.#for(values.size * dtypeBytes(values.dtype)).broadcast(values, root);
  }

  allGather(values: Tensor): Tensor {
    return this.#for(values.size * dtypeBytes(values.dtype) * this.worldSize).allGather(values);
  }

  ready(): Promise<void> {
    return this.#small.ready();
  }

  barrier(): Promise<void> {
    return this.#small.barrier();
  }

  async close(): Promise<void> {
    if (this.#large !== this.#small) await this.#large.close();
    await this.#small.close();
    await this.#rendezvous.close();
  }
}
