/**
 * The process's random number generator: a Philox key and a counter, so the same seed gives the same tensors on every device.
 *
 * @module
 */

/** Key and position of a stream of random numbers. */
export interface RandomState {
  seedLow: number;
  seedHigh: number;
  /** Counter blocks of four numbers that were used. */
  counter: number;
}

const state: RandomState = { seedLow: 0, seedHigh: 0, counter: 0 };
let seeded = false;

/**
 * Restarts the stream of random numbers.
 *
 * @param seed A non-negative safe integer.
 */
export function manualSeed(seed: number): void {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`Cannot seed with ${seed}: the seed must be a non-negative integer up to 2^53 - 1`);
  }
  state.seedLow = seed >>> 0;
  state.seedHigh = Math.floor(seed / 2 ** 32);
  state.counter = 0;
  seeded = true;
}

/** Moves the position in the stream of random numbers by `blocks` counter blocks. */
export function skipRandom(blocks: number): void {
  state.counter += blocks;
}

/** Seeds from the system when nobody has. */
function ensureSeeded(): void {
  if (!seeded) manualSeed(crypto.getRandomValues(new Uint32Array(1))[0]);
}

/** The position in the stream of random numbers, for {@link setRandomState}. */
export function getRandomState(): RandomState {
  ensureSeeded();
  return { ...state };
}

/** Goes back to a position in a stream of random numbers. */
export function setRandomState({ seedLow, seedHigh, counter }: RandomState): void {
  state.seedLow = seedLow;
  state.seedHigh = seedHigh;
  state.counter = counter;
  seeded = true;
}

/** Takes counter blocks for `count` numbers. Without a seed, the first use draws one from the system. */
export function takeRandom(count: number): RandomState {
  ensureSeeded();
  const taken = { ...state };
  state.counter += Math.ceil(count / 4);
  return taken;
}
