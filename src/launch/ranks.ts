/**
 * The processes of a job: how one is started, spoken to and listened to.
 *
 * @module
 */
import { LaunchError } from "../core/errors.ts";
import { LinePrefixer, type SharedOutput, Tail } from "./output.ts";
import { type JobEnvironment, rankEnvironment } from "./rank_environment.ts";

/** The launcher's streams, shared by all ranks. */
export interface Streams {
  readonly stdout: SharedOutput;
  readonly stderr: SharedOutput;
}

const GUARD = new URL("./guard.ts", import.meta.url);
/** How long to read on after a rank's end. Only a process that the rank left behind can hold its pipes open. */
const DRAIN_MS = 1000;

/** One running process of the job. */
export class Rank {
  readonly rank: number;
  /** Resolves at the end of the process. */
  readonly status: Promise<Deno.CommandStatus>;
  /** Its last lines on stderr; `undefined` when it writes to the launcher's own stderr. */
  readonly tail: Tail | undefined;
  readonly #child: Deno.ChildProcess;
  readonly #drained: Promise<unknown>;
  #isAlive = true;

  private constructor(
    rank: number,
    child: Deno.ChildProcess,
    pipes: { stdout: boolean; stderr: boolean },
    streams: Streams,
  ) {
    this.rank = rank;
    this.#child = child;
    this.status = child.status.finally(() => this.#isAlive = false);
    this.tail = pipes.stderr ? new Tail() : undefined;
    this.#drained = Promise.all([
      pipes.stdout ? this.#forward(child.stdout, streams.stdout) : undefined,
      pipes.stderr ? this.#forward(child.stderr, streams.stderr, this.tail) : undefined,
    ]);
  }

  /**
   * Starts a process.
   *
   * Rank 0 keeps the launcher's stdin and stdout, and its stderr where that is a terminal or where there is no other rank. The
   * others have no input and are read through pipes. Every rank leads a session of its own, so that a Ctrl-C reaches it once,
   * from the launcher, and so that what it started can be ended with it.
   *
   * @throws {LaunchError} When the system cannot start it.
   */
  static start(rank: number, script: string, job: JobEnvironment, streams: Streams): Rank {
    const isFirst = rank === 0;
    const ownsStderr = isFirst && (job.settings.numProcesses.value === 1 || Deno.stderr.isTerminal());
    const pipes = { stdout: !isFirst, stderr: !ownsStderr };
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", `--preload=${GUARD.href}`, script, ...job.settings.scriptArguments.value],
      env: rankEnvironment(rank, job),
      stdin: isFirst ? "inherit" : "null",
      stdout: pipes.stdout ? "piped" : "inherit",
      stderr: pipes.stderr ? "piped" : "inherit",
      detached: true,
    });
    try {
      return new Rank(rank, command.spawn(), pipes, streams);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new LaunchError(`Cannot start the process of rank ${rank}: ${reason}`, { cause: error });
    }
  }

  /** Sends a signal to the rank and to what it started; does nothing after its end. */
  kill(signal: Deno.Signal): void {
    if (this.#isAlive) this.#killGroup(signal);
  }

  /** Kills what the rank started and left behind. To be called at once after its end, while its group still has its number. */
  sweep(): void {
    this.#killGroup("SIGKILL");
  }

  /** Resolves when its output is written. */
  async drain(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const deadline = new Promise((resolve) => timer = setTimeout(resolve, DRAIN_MS));
    await Promise.race([this.#drained, deadline]);
    clearTimeout(timer);
  }

  #killGroup(signal: Deno.Signal): void {
    try {
      Deno.kill(-this.#child.pid, signal);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  async #forward(source: ReadableStream<Uint8Array>, target: SharedOutput, tail?: Tail): Promise<void> {
    const emit = (blocks: Uint8Array[]): Promise<void> => {
      for (const block of blocks) tail?.push(block);
      return target.write(blocks);
    };
    // Rank 0 is shown as it is: also its prompts and progress bars, which have no newline.
    const prefixer = this.rank === 0 ? undefined : new LinePrefixer(`[rank ${this.rank}] `);
    for await (const chunk of source) await emit(prefixer === undefined ? [chunk] : prefixer.push(chunk));
    if (prefixer !== undefined) await emit(prefixer.flush());
  }
}
