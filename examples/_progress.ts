/**
 * The progress line of the examples: step, loss, rate and time left, rewritten in place. It is quiet where stdout is not a terminal, so
 * that logs and pipes hold results only.
 *
 * @module
 */

/** How often the line is rewritten, in milliseconds. */
const INTERVAL = 100;

/** A duration as `1:02:03` or `2:03`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const pad = (value: number): string => String(value).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  const tail = `${pad(whole % 60)}`;
  return minutes < 60 ? `${minutes}:${tail}` : `${Math.floor(minutes / 60)}:${pad(minutes % 60)}:${tail}`;
}

/** Options of {@link Progress}. */
export interface ProgressOptions {
  /** Steps of the whole run. */
  total: number;
  /** What a step processes, for example 64 samples. */
  perStep: number;
  /** Their name in the rate, for example `"samples"`. */
  unit: string;
  /** Where the line goes. Default: stdout when that is a terminal, else nowhere. */
  write?: (text: string) => void;
  /** The clock in milliseconds. Default `performance.now`. */
  now?: () => number;
}

function writerFor(stream: typeof Deno.stdout): ((text: string) => void) | null {
  if (!stream.isTerminal()) return null;
  const encoder = new TextEncoder();
  return (text) => void stream.writeSync(encoder.encode(text));
}

/** One line that shows how far a training run is. */
export class Progress {
  readonly #total: number;
  readonly #perStep: number;
  readonly #unit: string;
  readonly #write: ((text: string) => void) | null;
  readonly #now: () => number;
  readonly #start: number;
  #shownAt = -Infinity;

  constructor({ total, perStep, unit, write, now = () => performance.now() }: ProgressOptions) {
    this.#total = total;
    this.#perStep = perStep;
    this.#unit = unit;
    this.#write = write ?? writerFor(Deno.stdout);
    this.#now = now;
    this.#start = now();
  }

  /**
   * Shows the state after `step` of the steps, at most ten times a second.
   *
   * @param step Steps done so far, counted from 1.
   * @param loss The loss of that step.
   */
  update(step: number, loss: number): void {
    if (this.#write === null) return;
    const now = this.#now();
    if (step < this.#total && now - this.#shownAt < INTERVAL) return;
    this.#shownAt = now;
    const seconds = (now - this.#start) / 1000;
    const rate = seconds > 0 ? step * this.#perStep / seconds : 0;
    const left = seconds / step * (this.#total - step);
    this.#write(
      `\r\x1b[Kstep ${step}/${this.#total}  loss ${loss.toFixed(4)}  ${rate.toFixed(0)} ${this.#unit}/s  ` +
        `${formatDuration(left)} left`,
    );
  }

  /** Removes the line, so that what is printed next starts at its beginning. */
  clear(): void {
    this.#write?.("\r\x1b[K");
    this.#shownAt = -Infinity;
  }
}
