// Data sets that workers can make.
import { data, randn, type Tensor, tensor } from "../../../mod.ts";

/** Squares that take time, with a fault at one index. */
export default class Squares extends data.Dataset<{ square: Tensor; index: number; name: string }> {
  override readonly length: number;
  readonly #fault: number;

  constructor(length: number, fault = -1) {
    super();
    this.length = length;
    this.#fault = fault;
  }

  override async get(index: number): Promise<{ square: Tensor; index: number; name: string }> {
    // The first samples of a batch take longest, so that order is not by chance.
    await new Promise((resolve) => setTimeout(resolve, index % 3 === 0 ? 4 : 1));
    if (index === this.#fault) throw new TypeError(`sample ${index} is broken`);
    return { square: tensor([index, index * index]), index, name: `s${index}` };
  }
}

/** Noise from the worker's random numbers. */
export class Noise extends data.Dataset<Tensor> {
  override readonly length = 12;

  override get(): Tensor {
    return randn([3]);
  }
}

/** Made by a function that takes its time. */
export async function makeSquares({ count }: { count: number }): Promise<Squares> {
  await Promise.resolve();
  return new Squares(count);
}

/** Fails where the workers make it, but not in the thread of the test. */
export function failsInWorker(): Squares {
  if (Deno.env.get("SQUARES_FAIL") === "1") throw new Error("no such folder");
  return new Squares(4);
}

export const notADataset = 5;
export const givesNothing = (): number => 5;
