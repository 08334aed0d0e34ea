/**
 * The `verify-resume` command: three runs of a script, and a comparison of what they recorded.
 *
 * @module
 */
import { parseWholeNumber } from "../distributed/environment.ts";
import type { ParsedCommand } from "./arguments.ts";
import type { Command } from "./options.ts";
import { UsageError } from "./usage_error.ts";

const CLI = new URL("../../cli.ts", import.meta.url).href;
const SHOWN_LINES = 20;

/** What a rank recorded: `["batch", loader, digest]`, `["loss", value]`, `["step", optimizer]`, `["epoch", loader]`, `["end", state]`. */
type Event = readonly [kind: string, ...details: unknown[]];

/** The records of all ranks. */
type Trace = readonly (readonly Event[])[];

/** A place where a run may be stopped. */
interface Stop {
  /** How many backward passes come before it. */
  readonly step: number;
  readonly isInEpoch: boolean;
  readonly isInWindow: boolean;
}

/** The script, or the machine, is not fit for the comparison. */
class VerificationError extends Error {}

function wholeNumber(parsed: ParsedCommand, name: string): number | undefined {
  const text = parsed.values.get(name)?.at(-1);
  if (text === undefined) return undefined;
  const value = parseWholeNumber(text);
  if (value === undefined) throw new UsageError(`--${name} must be a whole number, got "${text}"`);
  return value;
}

/** The options that `launch` takes, as words. */
function launchWords(command: Command, parsed: ParsedCommand): string[] {
  const own = ["stop-at", "seed", "help"];
  return command.options.filter(({ name }) => !own.includes(name)).flatMap(({ name, value }) =>
    value === undefined
      ? parsed.switches.has(name) ? [`--${name}`] : []
      : (parsed.values.get(name) ?? []).flatMap((text) => [`--${name}`, text])
  );
}

/** Places between two backward passes of rank 0's record where its loader is asked for the next batch. */
export function possibleStops(events: readonly Event[]): Stop[] {
  const stops: Stop[] = [];
  let step = 0;
  let loader: unknown;
  let hasStepped = false;
  let isOpen = false;
  for (const [kind, detail] of events) {
    if (kind === "loss") {
      step++;
      [hasStepped, isOpen] = [false, true];
    } else if (kind === "step") hasStepped = true;
    else if (kind === "batch" || kind === "epoch") {
      if (isOpen && detail === loader) {
        stops.push({ step, isInEpoch: kind === "batch", isInWindow: !hasStepped });
        isOpen = false;
      }
      loader = detail;
    }
  }
  // After the last one there is nothing left to compare.
  return stops.filter((stop) => stop.step < step);
}

/** A pseudo-random number in [0, 1) of a seed (one step of mulberry32). */
function uniform(seed: number): number {
  let t = (seed + 0x6d2b79f5) | 0;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

function chooseStop(events: readonly Event[], wanted: number | undefined, seed: number): Stop {
  const all = possibleStops(events);
  if (all.length === 0) {
    throw new VerificationError(
      "it has no place to stop: it must iterate over a prepared loader and call accelerator.backward() at least twice",
    );
  }
  if (wanted !== undefined) {
    const found = all.find(({ step }) => step === wanted);
    if (found !== undefined) return found;
    throw new UsageError(`--stop-at must be from ${all[0].step} to ${all[all.length - 1].step}, got ${wanted}`);
  }
  const best = [
    all.filter(({ isInEpoch, isInWindow }) => isInEpoch && isInWindow),
    all.filter(({ isInEpoch }) => isInEpoch),
    all,
  ].find(({ length }) => length > 0)!;
  return best[Math.floor(uniform(seed) * best.length)];
}

async function readTrace(folder: string): Promise<Trace> {
  const trace: Event[][] = [];
  for (let rank = 0;; rank++) {
    try {
      const text = await Deno.readTextFile(`${folder}/rank_${rank}.jsonl`);
      trace.push(text.trimEnd().split("\n").map((line) => JSON.parse(line)));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return trace;
    }
  }
}

interface Run {
  readonly trace: Trace;
  readonly code: number;
  /** The end of what it printed. */
  readonly output: string;
}

/** Runs the script once, with records in `folder` and checkpoints in `projectDir`. */
async function runScript(
  words: readonly string[],
  folder: string,
  projectDir: string,
  stopAt: number | null,
): Promise<Run> {
  await Deno.mkdir(folder);
  await Deno.mkdir(projectDir, { recursive: true });
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", CLI, "launch", ...words],
    env: { ACCELERATE_PROJECT_DIR: projectDir, ACCELERATE_VERIFY_RESUME: JSON.stringify({ folder, stopAt }) },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const lines = [stdout, stderr].flatMap((bytes) => new TextDecoder().decode(bytes).trimEnd().split("\n"));
  return { trace: await readTrace(folder), code, output: lines.slice(-SHOWN_LINES).join("\n") };
}

function describe(event: Event | undefined): string {
  if (event === undefined) return "nothing";
  const [kind, ...details] = event;
  if (kind === "batch") return `batch ${details[1]} of loader ${details[0]}`;
  if (kind === "step") return `a step of optimizer ${details[0]}`;
  if (kind === "epoch") return `the end of loader ${details[0]}`;
  return kind === "loss" ? `loss ${details[0]}` : "the end of the run";
}

/** The first difference between what should have happened and what did; `undefined` when there is none. */
export function difference(expected: readonly Event[], actual: readonly Event[]): string | undefined {
  for (let i = 0; i < Math.max(expected.length, actual.length); i++) {
    const [want, got] = [expected[i], actual[i]];
    if (JSON.stringify(want) === JSON.stringify(got)) continue;
    if (want?.[0] === "end" && got?.[0] === "end") {
      const [states, others] = [want[1], got[1]] as Record<string, unknown>[];
      const parts = Object.keys(states).filter((name) => JSON.stringify(states[name]) !== JSON.stringify(others[name]));
      return `at the end ${parts.join(" and ")} differ`;
    }
    const losses = expected.slice(0, i).filter(([kind]) => kind === "loss").length;
    return `${losses} backward passes later the uninterrupted run has ${describe(want)}, this one ${describe(got)}`;
  }
  return undefined;
}

function count(events: readonly Event[], kind: string): number {
  return events.filter(([name]) => name === kind).length;
}

/** Throws when a run did not do what it was to do. */
function checkEnd({ trace, code, output }: Run, mark: string, problem: string): void {
  if (trace.length > 0 && trace.every((events) => events.at(-1)?.[0] === mark)) return;
  throw new VerificationError(`${problem} (exit code ${code}). It printed:\n${output}`);
}

async function verify(
  words: readonly string[],
  folder: string,
  wanted: number | undefined,
  seed: number,
): Promise<void> {
  const whole = await runScript(words, `${folder}/whole`, `${folder}/project_whole`, null);
  checkEnd(whole, "end", "the script did not come to its accelerator.end()");
  const [main] = whole.trace;
  const processes = whole.trace.length === 1 ? "1 process" : `${whole.trace.length} processes`;
  console.log(`uninterrupted: ${count(main, "loss")} backward passes and ${count(main, "step")} steps in ${processes}`);

  const stop = chooseStop(main, wanted, seed);
  const where = [
    stop.isInEpoch ? "in the middle of an epoch" : "at the end of an epoch",
    ...(stop.isInWindow ? ["in the middle of an accumulation window"] : []),
  ].join(", ");
  const project = `${folder}/project`;
  const stopped = await runScript(words, `${folder}/stopped`, project, stop.step);
  checkEnd(stopped, "stopped", `the script could not be stopped after backward pass ${stop.step}`);
  console.log(`stopped: after backward pass ${stop.step} of ${count(main, "loss")}, ${where} (--seed ${seed})`);
  const before = stopped.trace.map((events) => events.slice(0, -1));
  before.forEach((events, rank) => {
    const found = difference(whole.trace[rank].slice(0, events.length), events);
    if (found === undefined) return;
    throw new VerificationError(
      `rank ${rank}: two runs of the script differ even without a stop: ${found}. Seed everything that is random, also in the script itself`,
    );
  });

  const resumed = await runScript(words, `${folder}/resumed`, project, null);
  checkEnd(resumed, "end", "the resumed script did not come to its accelerator.end()");
  resumed.trace.forEach((events, rank) => {
    const found = difference(whole.trace[rank].slice(before[rank].length), events);
    if (found !== undefined) throw new VerificationError(`rank ${rank}, after the resume: ${found}`);
  });
  const [rest] = resumed.trace;
  console.log(
    `resumed: ${count(rest, "loss")} losses, ${count(rest, "batch")} batches and ${
      count(rest, "step")
    } steps are identical, ` +
      "and so are weights, optimizer state, schedules, registered objects and random numbers at the end",
  );
}

/**
 * Runs the `verify-resume` command.
 *
 * @param command Its options.
 * @param parsed What the user typed.
 * @returns 0 when the resumed run is identical, else 1.
 * @throws {UsageError} When the command line makes no sense.
 */
export async function verifyResume(command: Command, parsed: ParsedCommand): Promise<number> {
  const { script } = parsed;
  if (script === undefined) throw new UsageError("verify-resume needs a script");
  const seed = wholeNumber(parsed, "seed") ?? crypto.getRandomValues(new Uint32Array(1))[0];
  const wanted = wholeNumber(parsed, "stop-at");
  const words = [...launchWords(command, parsed), script, ...parsed.scriptArguments];
  const folder = await Deno.makeTempDir({ prefix: "accelerate-verify-" });
  try {
    await verify(words, folder, wanted, seed);
    return 0;
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    console.error(`not identical: ${error.message}`);
    return 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
