/**
 * Random numbers for fuzz tests: small, seeded, and independent of the library under test.
 *
 * @module
 */

/** A generator (mulberry32). The same seed gives the same numbers. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from `low` to before `high`. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low));
  }

  /** True with a probability. */
  chance(p: number): boolean {
    return this.next() < p;
  }

  /** One of a list. */
  pick<T>(list: readonly T[]): T {
    return list[this.integer(0, list.length)];
  }
}

/** The seed that a variable of the environment names, else one of the clock. */
export function seedFrom(variable: string): number {
  const text = Deno.env.get(variable);
  if (text === undefined || text === "") return Date.now() % 1_000_000_007;
  const seed = Number(text);
  if (!Number.isSafeInteger(seed)) throw new Error(`${variable} must be an integer, got "${text}"`);
  return seed;
}
