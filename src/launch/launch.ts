/**
 * The `launch` command: settings, store, processes, and what to say when one of them fails.
 *
 * @module
 */
import { LibraryError } from "../../ffi/errors.ts";
import { resolveLibrary } from "../../ffi/resolve.ts";
import { LaunchError } from "../core/errors.ts";
import { createStoreSecret, StoreServer } from "../distributed/store_server.ts";
import type { ParsedCommand } from "./arguments.ts";
import type { Command } from "./options.ts";
import { SharedOutput } from "./output.ts";
import { Rank, type Streams } from "./ranks.ts";
import { describeSettings, type LaunchSettings, localMachine, readSettings, type Setting } from "./settings.ts";
import { type Outcome, Supervisor } from "./supervisor.ts";
import { UsageError } from "./usage_error.ts";

/** How many lines of the failed rank are shown again. */
const REPEATED_LINES = 20;

/** The script as `deno run` takes it. */
function checkScript(script: Setting<string>): string {
  if (/^https?:/i.test(script.value)) return script.value;
  let path: string | URL = script.value;
  try {
    if (/^file:/i.test(script.value)) path = new URL(script.value);
    if (Deno.statSync(path).isFile) return script.value.startsWith("-") ? `./${script.value}` : script.value;
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
    if (!isMissing && !(error instanceof TypeError)) throw error;
    const where = path instanceof URL ? "" : ` in ${Deno.cwd()}`;
    throw new UsageError(`Cannot find the script ${script.value}${where}: check the path after the options`);
  }
  throw new UsageError(`Cannot run ${script.value}: it is not a file`);
}

/**
 * Finds the native libraries once, before there are several processes that would all fetch them.
 *
 * @returns Their folder, or `undefined` when they lie apart, as in the cache; every process then finds them there.
 */
async function resolveLibraries({ cpu }: LaunchSettings): Promise<string | undefined> {
  const paths = [await resolveLibrary("cpu")];
  if (!cpu.value) {
    try {
      paths.push(await resolveLibrary("cuda"));
    } catch (error) {
      if (!(error instanceof LibraryError)) throw error;
      throw new LaunchError(`${error.message}. Or train on the CPU with --cpu`, { cause: error });
    }
  }
  const directories = new Set(paths.map((path) => path.slice(0, path.lastIndexOf("/"))));
  return directories.size === 1 ? [...directories][0] : undefined;
}

function describeFailure({ rank, status }: NonNullable<Outcome["failure"]>): string {
  if (status.signal === null) return `rank ${rank.rank} failed with exit code ${status.code}`;
  const hint = status.signal === "SIGKILL" ? " (the system does that when memory runs out)" : "";
  return `rank ${rank.rank} was killed by ${status.signal}${hint}`;
}

/** Shows last what went wrong first. */
async function reportOutcome(outcome: Outcome, stderr: SharedOutput): Promise<void> {
  if (outcome.failure === undefined) return;
  // Whatever the others wrote since may have pushed the error out of sight.
  const lines = outcome.failure.rank.tail?.lastLines(REPEATED_LINES).join("\n") ?? "";
  const again = lines === "" ? "" : `\nThe last lines of rank ${outcome.failure.rank.rank} on stderr were:\n${lines}\n`;
  await stderr.write([new TextEncoder().encode(`${again}${describeFailure(outcome.failure)}\n`)]);
}

/**
 * Runs the `launch` command.
 *
 * @param command Its options.
 * @param parsed What the user typed.
 * @returns The status for the shell.
 * @throws {UsageError} When the command line or a variable makes no sense.
 * @throws {LaunchError} When the job cannot be started.
 */
export async function launch(command: Command, parsed: ParsedCommand): Promise<number> {
  const settings = readSettings(command, parsed, localMachine());
  if (parsed.switches.has("print-config")) {
    console.log(describeSettings(settings).trimEnd());
    return 0;
  }
  const script = checkScript(settings.script);
  const libraryDirectory = await resolveLibraries(settings);
  const storeSecret = createStoreSecret();
  const store = StoreServer.listen({
    hostname: settings.mainProcessIp.value,
    port: settings.mainProcessPort.value,
    secret: storeSecret,
  });
  const streams: Streams = { stdout: new SharedOutput(Deno.stdout), stderr: new SharedOutput(Deno.stderr) };
  const supervisor = new Supervisor();
  try {
    const { hostname: masterAddress, port: masterPort } = store;
    const job = { settings, masterAddress, masterPort, storeSecret, libraryDirectory };
    for (let rank = 0; rank < settings.numProcesses.value; rank++) {
      supervisor.add(Rank.start(rank, script, job, streams));
    }
    const outcome = await supervisor.wait();
    if (!settings.quiet.value) await reportOutcome(outcome, streams.stderr);
    return outcome.code;
  } finally {
    supervisor.close();
    await store.close();
  }
}
