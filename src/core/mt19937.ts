/**
 * PyTorch's CPU generator: the Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998) and what PyTorch makes of its words, bit for
 * bit, so that sample orders can be compared.
 *
 * @module
 */

const WORDS = 624;
const MIDDLE = 397;

/** Below it `torch.randperm` takes 32-bit words, from it on 64-bit ones. */
const PERMUTATION_64 = Math.floor(0xffffffff / 20);
/** The same for `torch.randint`. */
const INTEGERS_64 = 2 ** 28;

/**
 * `torch.Generator` on the CPU.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { data } from "../../mod.ts";
 * // torch.randperm(8, generator=torch.Generator().manual_seed(42))
 * assertEquals(new data.TorchGenerator(42).randperm(8), [6, 3, 0, 7, 2, 1, 4, 5]);
 * ```
 */
export class TorchGenerator {
  readonly #state = new Uint32Array(WORDS);
  #used = WORDS;

  /**
   * @param seed An integer; as in PyTorch only its low 32 bits count.
   */
  constructor(seed: number | bigint = 0) {
    this.manualSeed(seed);
  }

  /**
   * Starts again.
   *
   * @throws {RangeError} For a number that is not a safe integer.
   */
  manualSeed(seed: number | bigint): this {
    if (typeof seed === "number" && !Number.isSafeInteger(seed)) {
      throw new RangeError(`Cannot seed with ${seed}: the seed must be an integer; give a bigint above 2^53`);
    }
    const state = this.#state;
    state[0] = Number(BigInt.asUintN(32, BigInt(seed)));
    for (let i = 1; i < WORDS; i++) {
      state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
    }
    this.#used = WORDS;
    return this;
  }

  #refill(): void {
    const state = this.#state;
    for (let i = 0; i < WORDS; i++) {
      const word = (state[i] & 0x80000000) | (state[(i + 1) % WORDS] & 0x7fffffff);
      state[i] = state[(i + MIDDLE) % WORDS] ^ (word >>> 1) ^ (word & 1 ? 0x9908b0df : 0);
    }
    this.#used = 0;
  }

  /** The next 32-bit word. */
  random(): number {
    if (this.#used === WORDS) this.#refill();
    let word = this.#state[this.#used++];
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  /** The next two words as one number, the first one on top. */
  random64(): bigint {
    const high = BigInt(this.random());
    return high << 32n | BigInt(this.random());
  }

  /** A number in [0, 1) of 53 bits, as `torch.rand(1, dtype=torch.float64)`. */
  uniform(): number {
    return (this.random() % 2 ** 21 * 2 ** 32 + this.random()) / 2 ** 53;
  }

  /** A number in [0, 1) of 24 bits, as `torch.rand(1)`. */
  uniformFloat32(): number {
    return this.random() % 2 ** 24 / 2 ** 24;
  }

  #below(limit: number, uses64: boolean): number {
    return uses64 ? Number(this.random64() % BigInt(limit)) : this.random() % limit;
  }

  /** Integers in [0, high), as `torch.randint(high, (count,))`. */
  randint(high: number, count: number): number[] {
    return Array.from({ length: count }, () => this.#below(high, high >= INTEGERS_64));
  }

  /** A random order of 0 to `count - 1`, as `torch.randperm(count)`. */
  randperm(count: number): number[] {
    const order = Array.from({ length: count }, (_, i) => i);
    for (let i = 0; i < count - 1; i++) {
      const j = i + this.#below(count - i, count >= PERMUTATION_64);
      const value = order[i];
      order[i] = order[j];
      order[j] = value;
    }
    return order;
  }
}
