/**
 * Ranks with GPUs in tests: real ones, or emulated ones when build/emulated is there (`deno run -A kernels/build.ts emulated`).
 *
 * @module
 */
import { cudaCount } from "../../src/core/device.ts";
import { availableGpus } from "../../src/core/gpus.ts";
import { type CommandOptions, type CommandResult, runCli, RunningCli, ScriptFolder } from "./processes.ts";

const ROOT = new URL("../../", import.meta.url);
const EMULATED = new URL("build/emulated/libaccelerate_cuda.so", ROOT).pathname;
const FAKE_NCCL = new URL("build/emulated/libnccl.so.2", ROOT).pathname;

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

const named = Deno.env.get("ACCELERATE_CUDA_LIBRARY");
/** The library of emulated GPUs, where tests use it: the named one, or that in build/ where there is no GPU. */
const emulated = named?.includes("/emulated/")
  ? named
  : named === undefined && availableGpus() === 0 && exists(EMULATED)
  ? EMULATED
  : undefined;
const realCount = emulated === undefined && availableGpus() > 0 ? cudaCount() : 0;

/** Whether ranks can have a GPU here. */
export const hasGpus: boolean = emulated !== undefined || realCount > 0;

/** Whether ranks can have a GPU here that is emulated, and the stand-in for NCCL with it. */
export const hasFakeNccl: boolean = emulated !== undefined && exists(FAKE_NCCL);

/** What a test that cannot run says in its name. */
export function noteOf(isPossible: boolean): string {
  return isPossible ? "" : " (skipped: no GPU, and no emulated one in build/emulated)";
}

/** The environment of ranks that share one GPU and carry collectives with what the test wants. */
export function gpuEnvironment(collectives: "ipc" | "nccl", more: Record<string, string> = {}): Record<string, string> {
  const variables: Record<string, string> = {
    ACCELERATE_LIBRARY_DIR: "",
    ACCELERATE_SHARE_GPU: "1",
    ACCELERATE_COLLECTIVES: collectives,
  };
  if (emulated !== undefined) {
    variables.ACCELERATE_CUDA_LIBRARY = emulated;
    variables.CUDA_VISIBLE_DEVICES = "0,1,2";
    if (collectives === "nccl") variables.ACCELERATE_NCCL_LIBRARY = FAKE_NCCL;
  } else {
    variables.CUDA_VISIBLE_DEVICES = Deno.env.get("CUDA_VISIBLE_DEVICES") ?? "0";
  }
  return { ...variables, ...more };
}

const source = (path: string): string => new URL(path, ROOT).href;
/** Every script joins its job first: `group` is the process group, `gpu` the device's name. */
const PRELUDE = `
import { Accelerator, cat, data, manualSeed, nn, noGrad, optim, randn, tensor } from "${source("mod.ts")}";
import { device } from "${source("src/core/device.ts")}";
import { readDistributedEnvironment } from "${source("src/distributed/environment.ts")}";
import { joinProcessGroup } from "${source("src/distributed/join.ts")}";
import { Reducer } from "${source("src/distributed/reducer.ts")}";
import { flatten } from "${source("src/optim/flat.ts")}";
const environment = readDistributedEnvironment();
const gpu = "cuda:0";
const join = (timeoutMs) => joinProcessGroup(environment, device(gpu), timeoutMs);
`;

const argumentsFor = (count: number): string[] => ["launch", "--cpu", "--num-processes", String(count), "a.ts"];

/** Runs a script on ranks with GPUs, to its end. */
export async function runGpuRanks(
  count: number,
  script: string,
  options: CommandOptions,
  args: string[] = argumentsFor(count),
): Promise<CommandResult> {
  using folder = new ScriptFolder({ "a.ts": PRELUDE + script });
  return await runCli(args, folder, options);
}

/** Starts a script on ranks with GPUs. */
export function startGpuRanks(
  count: number,
  script: string,
  folder: ScriptFolder,
  options: CommandOptions,
): RunningCli {
  folder.add("a.ts", PRELUDE + script);
  return new RunningCli(argumentsFor(count), folder, options);
}
