/**
 * Watches the ranks of a job: the first failure ends all, signals reach all, and nobody is left behind.
 *
 * @module
 */
import type { Rank } from "./ranks.ts";

/** How a job ended. */
export interface Outcome {
  /** The launcher's status. */
  readonly code: number;
  /** The rank that failed first, with its status. */
  readonly failure?: { readonly rank: Rank; readonly status: Deno.CommandStatus };
  /** The signal that the launcher got first. */
  readonly signal?: Deno.Signal;
}

/** After a failure: enough for a handler to close files, and a blocked process does not delay the user for long. */
const FAILURE_GRACE_MS = 2000;
/** After a signal from outside: enough for a handler to save a checkpoint. A second signal ends it. */
const SIGNAL_GRACE_MS = 10_000;

/** Signals that end the job, with the status that a shell gives for them. */
const ENDING_SIGNALS: readonly (readonly [Deno.Signal, number])[] = [["SIGINT", 130], ["SIGTERM", 143]];

/** Owns the signal handlers and the ranks from the first start to the last exit. */
export class Supervisor {
  readonly #ranks: Rank[] = [];
  readonly #handlers: [Deno.Signal, () => void][] = [];
  #outcome: Outcome | undefined;
  #killTimer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    for (const [signal, code] of ENDING_SIGNALS) this.#listen(signal, () => this.#onEndingSignal(signal, code));
    // The ranks are no part of the terminal's job, so Ctrl-Z and `fg` are passed on.
    this.#listen("SIGTSTP", () => {
      this.#killAll("SIGSTOP");
      Deno.kill(Deno.pid, "SIGSTOP");
    });
    this.#listen("SIGCONT", () => this.#killAll("SIGCONT"));
  }

  /** Takes charge of a rank. */
  add(rank: Rank): void {
    this.#ranks.push(rank);
    rank.status.then((status) => this.#onExit(rank, status));
  }

  /** Resolves when all ranks have ended and their output is written. */
  async wait(): Promise<Outcome> {
    await Promise.all(this.#ranks.map((rank) => rank.status));
    await Promise.all(this.#ranks.map((rank) => rank.drain()));
    return this.#outcome ?? { code: 0 };
  }

  /** Ends all ranks at once, if any is left, and gives the signals back. */
  close(): void {
    clearTimeout(this.#killTimer);
    this.#killAll("SIGKILL");
    for (const [signal, handler] of this.#handlers) Deno.removeSignalListener(signal, handler);
  }

  #listen(signal: Deno.Signal, handler: () => void): void {
    Deno.addSignalListener(signal, handler);
    this.#handlers.push([signal, handler]);
  }

  #killAll(signal: Deno.Signal): void {
    for (const rank of this.#ranks) rank.kill(signal);
  }

  #onExit(rank: Rank, status: Deno.CommandStatus): void {
    if (this.#outcome === undefined && !status.success) {
      this.#end({ code: status.code, failure: { rank, status } }, "SIGTERM", FAILURE_GRACE_MS);
    }
    if (this.#outcome !== undefined) rank.sweep();
  }

  #onEndingSignal(signal: Deno.Signal, code: number): void {
    if (this.#outcome === undefined) this.#end({ code, signal }, signal, SIGNAL_GRACE_MS);
    else this.#killAll("SIGKILL");
  }

  #end(outcome: Outcome, signal: Deno.Signal, graceMs: number): void {
    this.#outcome = outcome;
    this.#killAll(signal);
    // A stopped process gets its signal only when it goes on.
    this.#killAll("SIGCONT");
    this.#killTimer = setTimeout(() => this.#killAll("SIGKILL"), graceMs);
  }
}
