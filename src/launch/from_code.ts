/**
 * Launching from a program instead of the command line.
 *
 * @module
 */
import { env } from "../core/env.ts";
import { LaunchError } from "../core/errors.ts";

/** Options of {@link launch}. */
export interface LaunchOptions {
  /** Number of processes. Default: one for each GPU, else 1. */
  numProcesses?: number;
  /** Train on the CPU even where there are GPUs. Default false. */
  cpu?: boolean;
  /** What the processes get as `Deno.args`. Default: for a function those of this program, for a module none. */
  args?: readonly string[];
  /** More environment variables of the processes. */
  env?: Readonly<Record<string, string>>;
}

/** Calls so far: in a process that was started for one of them, the same call is found again by its number. */
let callCount = 0;

/**
 * Runs a function or a module in several processes that form one job, and resolves when all have ended. New processes are started,
 * never forked, so it does not matter what this one has done before.
 *
 * A function cannot be sent to a process. Each process therefore runs this program from its beginning to this call, then the function,
 * and ends; whatever stands before the call runs in each of them, and with a module nothing does.
 *
 * @param target The function, or the URL of a module.
 * @param options See {@link LaunchOptions}.
 * @throws {LaunchError} When a process fails or cannot be started.
 */
export async function launch(
  target: (() => unknown) | URL | string,
  { numProcesses, cpu = false, args, env: variables = {} }: LaunchOptions = {},
): Promise<void> {
  const call = callCount++;
  const wanted = env("ACCELERATE_LAUNCH_CALL");
  if (wanted !== undefined) {
    // An earlier call of the same program, whose processes have ended long ago.
    if (typeof target !== "function" || Number(wanted) !== call) return;
    try {
      await target();
    } catch (error) {
      // The program must not handle here what belongs to the process that launched.
      console.error(error);
      Deno.exit(1);
    }
    Deno.exit(0);
  }
  const isFunction = typeof target === "function";
  const script = isFunction ? Deno.mainModule : String(target);
  const all = isFunction ? { ...variables, ACCELERATE_LAUNCH_CALL: String(call) } : variables;
  const { COMMANDS } = await import("./options.ts");
  const { parseCommand } = await import("./arguments.ts");
  const { launch: start } = await import("./launch.ts");
  const command = COMMANDS.find(({ name }) => name === "launch")!;
  const words = [
    ...(numProcesses === undefined ? [] : ["--num-processes", String(numProcesses)]),
    ...(cpu ? ["--cpu"] : []),
    ...Object.entries(all).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
    script,
    ...args ?? (isFunction ? Deno.args : []),
  ];
  let status: number;
  try {
    status = await start(command, parseCommand(command, words));
  } catch (error) {
    if (!(error instanceof Error) || error instanceof LaunchError) throw error;
    throw new LaunchError(`Cannot launch: ${error.message}`, { cause: error });
  }
  if (status !== 0) throw new LaunchError(`The launched processes failed with exit code ${status}`);
}
