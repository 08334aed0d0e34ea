/**
 * Averages the gradients of a flat buffer between ranks while backward goes on.
 *
 * A bucket is a range of the flat gradients: the first is small, so that communication begins early. Buckets run from the end of
 * the buffer, since backward reaches the last layers first, and are reduced in that order on every rank, whatever the order in
 * which gradients become ready. The words in front of the gradients say which parameters this rank used; they travel with the
 * last bucket.
 *
 * @module
 */
import { noGrad, tensorOver } from "../core/op.ts";
import { fillInto } from "../ops/launch.ts";
import type { FlatBuffer } from "../optim/flat.ts";
import type { Tensor } from "../tensor.ts";
import type { ProcessGroup } from "./process_group.ts";

const FIRST_BUCKET_BYTES = 1 << 20;

interface Bucket {
  /** The range of the gradient buffer. */
  readonly range: Tensor;
  readonly parameters: readonly Tensor[];
  waiting: number;
}

function windowOf(flat: Tensor, start: number, end: number): Tensor {
  flat.storage.retain();
  return tensorOver(flat.storage, [end - start], start, flat.dtype, "bucket");
}

/** Reduces the gradients of one flat buffer. */
export class Reducer {
  readonly #group: ProcessGroup;
  readonly #buckets: Bucket[] = [];
  readonly #bucketOf = new Map<Tensor, Bucket>();
  readonly #parameters: readonly Tensor[];
  readonly #used: Tensor;
  readonly #touched = new Set<Tensor>();
  #next = 0;
  #active = false;
  /** Whether the pass that is active reduces, and by what the sums are multiplied. */
  #reduces = false;
  #scale = 1;
  /** Set when `loss.backward()` made gradients that no one averaged. */
  #missed = false;
  #hasLocal = false;

  /**
   * @param buffer Parameters and gradients of one dtype.
   * @param group The ranks.
   * @param bucketBytes Size of the buckets after the first.
   */
  constructor(buffer: FlatBuffer, group: ProcessGroup, bucketBytes: number) {
    this.#group = group;
    this.#parameters = buffer.parameters;
    this.#used = windowOf(buffer.gradients, 0, buffer.parameters.length);
    const itemBytes = buffer.gradients.dtype === "float64" ? 8 : 4;
    let end = buffer.gradients.size;
    let members: Tensor[] = [];
    for (let i = buffer.parameters.length - 1; i >= 0; i--) {
      const parameter = buffer.parameters[i];
      members.push(parameter);
      const start = i === 0 ? 0 : parameter.gradSlot!.offset;
      const limit = this.#buckets.length === 0 ? FIRST_BUCKET_BYTES : bucketBytes;
      if (i === 0 || (end - start) * itemBytes >= limit) {
        this.#buckets.push({ range: windowOf(buffer.gradients, start, end), parameters: members, waiting: 0 });
        members = [];
        end = start;
      }
    }
    for (const bucket of this.#buckets) for (const member of bucket.parameters) this.#bucketOf.set(member, bucket);
    for (const parameter of buffer.parameters) parameter.onGradient = (leaf) => this.#onGradient(leaf);
  }

  /** Whether gradients were made by `loss.backward()` since the last {@link forgive}. */
  get missed(): boolean {
    return this.#missed;
  }

  /** Whether there are gradients of passes that did not reduce. */
  get hasLocal(): boolean {
    return this.#hasLocal;
  }

  /** Gradients were set to zero: what was missed no longer matters. */
  forgive(): void {
    this.#missed = false;
    this.#hasLocal = false;
  }

  /** The gradients are those of a checkpoint: of this rank alone, or of all. */
  resume(hasLocal: boolean): void {
    this.#missed = false;
    this.#hasLocal = hasLocal;
  }

  /**
   * Expects gradients from a backward pass that {@link finish} ends.
   *
   * @param reduces Whether the ranks reduce their gradients in this pass; all or none do. Default true.
   * @param scale What the sum over ranks is multiplied by. Default: what makes it a mean.
   */
  begin(reduces = true, scale: number = 1 / this.#group.worldSize): void {
    this.#active = true;
    this.#reduces = reduces;
    this.#scale = scale;
    this.#next = 0;
    this.#touched.clear();
    for (const bucket of this.#buckets) bucket.waiting = bucket.parameters.length;
  }

  #onGradient(leaf: Tensor): void {
    if (!this.#active) {
      this.#missed = true;
      return;
    }
    this.#touched.add(leaf);
    this.#bucketOf.get(leaf)!.waiting--;
    // The last bucket waits for finish(), which knows what was used.
    if (!this.#reduces) return;
    while (this.#next < this.#buckets.length - 1 && this.#buckets[this.#next].waiting === 0) this.#reduceNext();
  }

  #reduceNext(): void {
    this.#group.startAllReduce(this.#buckets[this.#next++].range, "sum", this.#scale);
  }

  /**
   * Reduces what is left. A parameter that only other ranks used gets their gradient; one that no rank used stays without.
   *
   * @throws {CollectiveError} When a rank died or calls something else.
   */
  finish(): void {
    if (this.#touched.size === 0 && !this.#hasLocal) return;
    if (this.#reduces) this.#reduceRest();
    else this.#hasLocal = true;
  }

  /** Reduces what passes left that did not reduce. */
  flush(scale: number): void {
    this.#scale = scale;
    this.#next = 0;
    this.#reduceRest();
  }

  /** Takes part in a reduction of the other ranks, without gradients of its own. */
  shadow(scale: number): void {
    this.#scale = scale;
    this.#next = 0;
    noGrad(() => {
      for (const { range } of this.#buckets) fillInto(range, 0);
      while (this.#next < this.#buckets.length) this.#reduceNext();
      this.#group.finish();
    });
  }

  #reduceRest(): void {
    this.#hasLocal = false;
    noGrad(() => {
      const unused = this.#parameters.map((parameter) => parameter.grad === null);
      fillInto(this.#used, 1);
      const absent: number[] = [];
      unused.forEach((isUnused, i) => {
        if (!isUnused) return;
        absent.push(i);
        fillInto(windowOf(this.#used, i, i + 1), 0);
        fillInto(this.#parameters[i].gradSlot!, 0);
      });
      while (this.#next < this.#buckets.length) this.#reduceNext();
      this.#group.finish();
      if (absent.length === 0) return;
      const used = this.#used.data();
      for (const i of absent) {
        if (Number(used[i]) > 0) this.#parameters[i].grad = this.#parameters[i].gradSlot;
      }
    });
  }

  /** Ends the backward pass, also one that failed. */
  end(): void {
    this.#active = false;
  }

  /** Gives the parameters back. */
  close(): void {
    for (const parameter of this.#parameters) parameter.onGradient = null;
  }
}
