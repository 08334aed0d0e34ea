/**
 * The environment of one rank: torchrun's variables and Accelerate's.
 *
 * @module
 */
import { env } from "../core/env.ts";
import type { LaunchSettings } from "./settings.ts";

/** Variables that differ between ranks or belong to one job, so that `--env` must not set them. */
export const RESERVED_VARIABLES: readonly string[] = [
  "RANK",
  "LOCAL_RANK",
  "WORLD_SIZE",
  "LOCAL_WORLD_SIZE",
  "MASTER_ADDR",
  "MASTER_PORT",
  "ACCELERATE_STORE_SECRET",
  "ACCELERATE_LAUNCHER_PID",
];

/**
 * A training loop makes short-lived objects only. With a young generation of fixed size the resident memory of 20,000 steps grows by
 * 2.5 MB instead of 5 to 10, and a step takes as long. Functions are optimized by the thread that runs them: another one would leave up to 20 MB
 * behind, in some runs and not in others (72 MB in each of four runs instead of 77 to 93), and the loop waits 60 ms once. A DENO_V8_FLAGS of the
 * user's is left alone.
 */
const V8_FLAGS = "--min-semi-space-size=4,--max-semi-space-size=4,--no-concurrent-recompilation";

/**
 * Malloc areas of the C library. V8 compiles on several threads, and what these leave in an area each is never used again. Over 20,000
 * steps the resident memory grew by 3 MB in most runs with one area and by 4.6 to 5.3 MB without, but 5.3 MB was seen with it too; its
 * level differs by 15 MB between runs either way.
 */
const MALLOC_ARENA_MAX = "1";

/** What all ranks of a job share. */
export interface JobEnvironment {
  readonly settings: LaunchSettings;
  readonly masterAddress: string;
  readonly masterPort: number;
  readonly storeSecret: string;
  /** Folder of the native libraries, when there is one for all of them. */
  readonly libraryDirectory: string | undefined;
}

/**
 * The variables of one rank, to be added to the launcher's own environment.
 *
 * @param rank Index of the process.
 * @param job What the ranks share.
 */
export function rankEnvironment(rank: number, job: JobEnvironment): Record<string, string> {
  const { settings, libraryDirectory } = job;
  const worldSize = String(settings.numProcesses.value);
  const variables: Record<string, string> = {
    ...settings.variables.value,
    RANK: String(rank),
    LOCAL_RANK: String(rank),
    WORLD_SIZE: worldSize,
    LOCAL_WORLD_SIZE: worldSize,
    MASTER_ADDR: job.masterAddress,
    MASTER_PORT: String(job.masterPort),
    ACCELERATE_STORE_SECRET: job.storeSecret,
    ACCELERATE_LAUNCHER_PID: String(Deno.pid),
  };
  // --env comes last in the user's mind, so it wins over what the other options derive.
  const derive = (name: string, value: string | undefined): void => {
    if (value !== undefined) variables[name] ??= value;
  };
  if (env("DENO_V8_FLAGS") === undefined) derive("DENO_V8_FLAGS", V8_FLAGS);
  if (env("MALLOC_ARENA_MAX") === undefined) derive("MALLOC_ARENA_MAX", MALLOC_ARENA_MAX);
  derive("ACCELERATE_USE_CPU", settings.cpu.value ? "1" : "0");
  derive("ACCELERATE_LIBRARY_DIR", libraryDirectory);
  derive("ACCELERATE_MIXED_PRECISION", settings.mixedPrecision.value);
  derive("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", settings.gradientAccumulationSteps.value);
  if (!settings.cpu.value) derive("CUDA_VISIBLE_DEVICES", settings.gpuIds.value.join(","));
  return variables;
}
