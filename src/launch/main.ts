/**
 * From the arguments of the command line to a status.
 *
 * @module
 */
import { LibraryError } from "../../ffi/errors.ts";
import { LaunchError } from "../core/errors.ts";
import { type Command, COMMANDS, GLOBAL_OPTIONS } from "./options.ts";
import { nearestName } from "./suggest.ts";
import { UsageError } from "./usage_error.ts";

const USAGE_STATUS = 2;
const FAILURE_STATUS = 1;

function findCommand(name: string): Command {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command !== undefined) return command;
  const names = name.startsWith("-")
    ? GLOBAL_OPTIONS.map((option) => `--${option.name}`)
    : COMMANDS.map((known) => known.name);
  const nearest = nearestName(name, names);
  const kind = name.startsWith("-") ? "option" : "command";
  const advice = nearest === undefined
    ? `the commands are ${COMMANDS.map((known) => known.name).join(", ")}`
    : `did you mean ${nearest}?`;
  throw new UsageError(`Unknown ${kind} ${name}: ${advice}`);
}

async function runCommand(command: Command, args: readonly string[]): Promise<number> {
  // What a command needs is loaded when it runs: `--help` and mistakes are answered at once.
  const { parseCommand } = await import("./arguments.ts");
  const parsed = parseCommand(command, args);
  if (parsed.switches.has("help")) {
    const { commandHelp } = await import("./help.ts");
    console.log(commandHelp(command).trimEnd());
    return 0;
  }
  if (command.name === "launch") {
    const { launch } = await import("./launch.ts");
    return await launch(command, parsed);
  }
  if (command.name === "verify-resume") {
    const { verifyResume } = await import("./verify_resume.ts");
    return await verifyResume(command, parsed);
  }
  const { describeEnvironment } = await import("./describe.ts");
  console.log(describeEnvironment());
  return 0;
}

async function dispatch(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    const { commandHelp, generalHelp } = await import("./help.ts");
    console.log((rest.length > 0 ? commandHelp(findCommand(rest[0])) : generalHelp()).trimEnd());
    return name === undefined ? USAGE_STATUS : 0;
  }
  if (name === "--version" || name === "-V") {
    const { VERSION } = await import("./describe.ts");
    console.log(VERSION);
    return 0;
  }
  return await runCommand(findCommand(name), rest);
}

/**
 * Runs the command line.
 *
 * @param args What follows `cli.ts`.
 * @returns 0 when all went well, 2 when the command line makes no sense, otherwise the status of what failed.
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    return await dispatch(args);
  } catch (error) {
    const isExpected = error instanceof UsageError || error instanceof LaunchError || error instanceof LibraryError;
    if (!isExpected) throw error;
    console.error(`error: ${error.message}`);
    return error instanceof UsageError ? USAGE_STATUS : FAILURE_STATUS;
  }
}
