/**
 * Which process of which job this is, as torchrun's and Accelerate's environment variables say it.
 *
 * @module
 */
import { env, type ENVIRONMENT } from "../core/env.ts";
import { LaunchError } from "../core/errors.ts";

/** Reads one variable; an empty one counts as unset. */
export type EnvironmentReader = (name: keyof typeof ENVIRONMENT) => string | undefined;

/** The place of this process in its job. */
export interface DistributedEnvironment {
  /** Index among all processes, from 0. */
  readonly rank: number;
  /** Index among the processes of this machine, from 0: which local GPU to use. */
  readonly localRank: number;
  /** Number of processes. */
  readonly worldSize: number;
  /** Number of processes on this machine. */
  readonly localWorldSize: number;
  /** Address of the key-value store. */
  readonly masterAddress: string;
  /** Port of the key-value store; 0 for a process that nobody launched. */
  readonly masterPort: number;
  /** Secret that guards the store; `undefined` for a process that nobody launched. */
  readonly storeSecret: string | undefined;
  /** Whether a launcher started this process; a single process may run without one. */
  readonly launched: boolean;
}

/** What the launcher's flags ask of the `Accelerator`; `undefined` where they say nothing. */
export interface AccelerateEnvironment {
  /** Train on the CPU even where there is a GPU. */
  readonly cpu: boolean;
  /** `--mixed-precision`. */
  readonly mixedPrecision: MixedPrecision | undefined;
  /** `--gradient-accumulation-steps`. */
  readonly gradientAccumulationSteps: number | undefined;
}

/** The values of `--mixed-precision`. */
export const MIXED_PRECISIONS = ["no", "bf16", "fp16", "fp8"] as const;

/** Which low precision the forward pass computes in. */
export type MixedPrecision = typeof MIXED_PRECISIONS[number];

const ADVICE = "Start the script with `cli.ts launch`, which sets all of them, or unset them to run one process";
const TRUE = ["1", "true", "t", "yes", "y", "on"];
const FALSE = ["0", "false", "f", "no", "n", "off"];

const SINGLE_PROCESS: DistributedEnvironment = {
  rank: 0,
  localRank: 0,
  worldSize: 1,
  localWorldSize: 1,
  masterAddress: "127.0.0.1",
  masterPort: 0,
  storeSecret: undefined,
  launched: false,
};

/**
 * A whole number in decimal digits, or `undefined` for any other text.
 *
 * @param text What the user wrote.
 */
export function parseWholeNumber(text: string): number | undefined {
  const value = /^[0-9]+$/.test(text) ? Number(text) : NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}

/**
 * Accelerate's spellings of yes and no, or `undefined` for any other text.
 *
 * @param text What the user wrote.
 */
export function parseBoolean(text: string): boolean | undefined {
  const word = text.toLowerCase();
  return TRUE.includes(word) ? true : FALSE.includes(word) ? false : undefined;
}

function required(name: keyof typeof ENVIRONMENT, read: EnvironmentReader): string {
  const text = read(name);
  if (text === undefined) {
    throw new LaunchError(
      `Cannot join the job: RANK, LOCAL_RANK, WORLD_SIZE and LOCAL_WORLD_SIZE belong together, and for several processes ` +
        `MASTER_ADDR, MASTER_PORT and ACCELERATE_STORE_SECRET too, but ${name} is missing. ${ADVICE}`,
    );
  }
  return text;
}

function integer(name: keyof typeof ENVIRONMENT, minimum: number, maximum: number, read: EnvironmentReader): number {
  const text = required(name, read);
  const value = parseWholeNumber(text);
  if (value === undefined || value < minimum || value > maximum) {
    const range = maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
    throw new LaunchError(`Cannot join the job: ${name} must be a whole number ${range}, got "${text}". ${ADVICE}`);
  }
  return value;
}

function checkBelow(small: string, smallValue: number, large: string, largeValue: number): void {
  if (smallValue >= largeValue) {
    throw new LaunchError(
      `Cannot join the job: ${small} must be less than ${large}, got ${small}=${smallValue} and ${large}=${largeValue}. ` +
        ADVICE,
    );
  }
}

/**
 * Reads RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT and the store's secret. Without RANK, LOCAL_RANK
 * and WORLD_SIZE this is a job of one process.
 *
 * @param read Where to read; the process's environment by default.
 * @throws {LaunchError} When variables are missing, are no numbers, or contradict each other.
 */
export function readDistributedEnvironment(read: EnvironmentReader = env): DistributedEnvironment {
  if (read("RANK") === undefined && read("WORLD_SIZE") === undefined && read("LOCAL_RANK") === undefined) {
    return SINGLE_PROCESS;
  }
  const worldSize = integer("WORLD_SIZE", 1, Number.MAX_SAFE_INTEGER, read);
  const localWorldSize = integer("LOCAL_WORLD_SIZE", 1, Number.MAX_SAFE_INTEGER, read);
  const rank = integer("RANK", 0, Number.MAX_SAFE_INTEGER, read);
  const localRank = integer("LOCAL_RANK", 0, Number.MAX_SAFE_INTEGER, read);
  checkBelow("RANK", rank, "WORLD_SIZE", worldSize);
  checkBelow("LOCAL_RANK", localRank, "LOCAL_WORLD_SIZE", localWorldSize);
  if (localWorldSize > worldSize) {
    throw new LaunchError(
      `Cannot join the job: LOCAL_WORLD_SIZE must be at most WORLD_SIZE, got ${localWorldSize} and ${worldSize}. ${ADVICE}`,
    );
  }
  if (localRank > rank) {
    throw new LaunchError(
      `Cannot join the job: LOCAL_RANK must be at most RANK, got ${localRank} and ${rank}. ${ADVICE}`,
    );
  }
  const place = { rank, localRank, worldSize, localWorldSize, launched: true };
  // One process meets nobody, so it needs no store; torchrun's variables alone are enough for it.
  if (worldSize === 1) {
    return { ...place, masterAddress: read("MASTER_ADDR") ?? "127.0.0.1", masterPort: 0, storeSecret: undefined };
  }
  return {
    ...place,
    masterAddress: required("MASTER_ADDR", read),
    masterPort: integer("MASTER_PORT", 1, 65535, read),
    storeSecret: required("ACCELERATE_STORE_SECRET", read),
  };
}

/**
 * Reads ACCELERATE_USE_CPU, ACCELERATE_MIXED_PRECISION and ACCELERATE_GRADIENT_ACCUMULATION_STEPS.
 *
 * @param read Where to read; the process's environment by default.
 * @throws {LaunchError} When one of them has a value that it cannot have.
 */
export function readAccelerateEnvironment(read: EnvironmentReader = env): AccelerateEnvironment {
  const cpuText = read("ACCELERATE_USE_CPU") ?? "0";
  const cpu = parseBoolean(cpuText);
  if (cpu === undefined) throw new LaunchError(`ACCELERATE_USE_CPU must be 1 or 0, got "${cpuText}"`);

  const precisionText = read("ACCELERATE_MIXED_PRECISION");
  const mixedPrecision = MIXED_PRECISIONS.find((name) => name === precisionText);
  if (precisionText !== undefined && mixedPrecision === undefined) {
    throw new LaunchError(
      `ACCELERATE_MIXED_PRECISION must be one of ${MIXED_PRECISIONS.join(", ")}, got "${precisionText}"`,
    );
  }

  const stepsText = read("ACCELERATE_GRADIENT_ACCUMULATION_STEPS");
  const steps = stepsText === undefined ? undefined : parseWholeNumber(stepsText) ?? 0;
  if (steps === 0) {
    throw new LaunchError(
      `ACCELERATE_GRADIENT_ACCUMULATION_STEPS must be a whole number of at least 1, got "${stepsText}"`,
    );
  }
  return { cpu, mixedPrecision, gradientAccumulationSteps: steps };
}
