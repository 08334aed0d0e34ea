/**
 * A node of the autograd graph: what an operation needs to compute the gradients of its inputs.
 *
 * @module
 */
import type { Tensor } from "../tensor.ts";
import { ReleasedError } from "./errors.ts";
import type { Op } from "./op.ts";
import type { Shape } from "./shape.ts";

/** What a `vjp` returns for an input whose gradient it has written into the sink itself. */
export const WRITTEN: unique symbol = Symbol("gradient written into its sink");

/** One gradient: a tensor, nothing, or already in its place. */
export type Gradient = Tensor | null | typeof WRITTEN;

let nextSequence = 0;

/** Created by `apply` for each operation that a gradient must flow through. */
// deno-lint-ignore no-explicit-any
export class Node<A = any> {
  /** Order of creation: a node only depends on nodes with a smaller number. */
  readonly sequence: number = nextSequence++;
  readonly op: Op<A>;
  readonly attrs: A;
  /** For each input where its gradient goes: the node that made it, the leaf itself, or null. */
  readonly edges: (Node | Tensor | null)[];
  readonly shape: Shape;
  /** Shapes of the inputs, for gradients of broadcasting. */
  readonly inputShapes: Shape[];
  /** Gradient of the output that has been collected so far; owned by the node. */
  gradient: Tensor | null = null;
  /** The backward pass that has found this node. */
  pass = 0;
  #saved: Tensor[] = [];
  #releasedWhen: string | null = null;

  constructor(op: Op<A>, attrs: A, inputs: readonly Tensor[], shape: Shape) {
    this.op = op;
    this.attrs = attrs;
    this.shape = shape;
    const count = inputs.length;
    this.edges = new Array(count);
    this.inputShapes = new Array(count);
    for (let i = 0; i < count; i++) {
      const input = inputs[i];
      this.edges[i] = input.requiresGrad ? input.node ?? input : null;
      this.inputShapes[i] = input.shape;
    }
  }

  /** Keeps tensors for the backward pass; they outlive their scope until then. */
  save(...tensors: Tensor[]): void {
    for (const tensor of tensors) tensor.storage.retain();
    this.#saved = tensors;
  }

  /**
   * What was saved.
   *
   * @throws {ReleasedError} When the graph was freed by an earlier backward or by the end of its scope.
   */
  get saved(): readonly Tensor[] {
    if (this.#releasedWhen !== null) throw this.releasedError();
    return this.#saved;
  }

  /** Whether input `index` wants a gradient. */
  needs(index: number): boolean {
    return this.edges[index] !== null;
  }

  /**
   * The place in the flat gradient storage for the gradient of input `index`, when that is a leaf that has one. A `vjp` may write
   * there, adding to it where {@link sinkBeta} is 1, and return {@link WRITTEN}; this saves a copy per parameter.
   */
  sink(index: number): Tensor | null {
    const edge = this.edges[index];
    return edge === null || edge instanceof Node ? null : edge.gradSlot;
  }

  /** 0 where the sink must be overwritten, 1 where it holds a gradient to add to. */
  sinkBeta(index: number): number {
    const edge = this.edges[index];
    return edge === null || edge instanceof Node || edge.grad === null ? 0 : 1;
  }

  get isReleased(): boolean {
    return this.#releasedWhen !== null;
  }

  /** Frees what was saved and cuts the graph, so that a tensor that is kept does not hold its history. */
  release(when: string): void {
    if (this.#releasedWhen !== null) return;
    this.#releasedWhen = when;
    for (const tensor of this.#saved) tensor.storage.release();
    this.#saved = [];
    this.edges.fill(null);
    this.gradient = null;
  }

  /** Leaves what was saved to the garbage collector: for graphs that outlive all scopes. */
  manage(): void {
    for (const tensor of this.#saved) tensor.storage.manage();
  }

  releasedError(): ReleasedError {
    return new ReleasedError(
      `Cannot run backward through ${this.op.name} of shape (${this.shape.join(", ")}): its graph was freed at ` +
        `${this.#releasedWhen}. Call backward() once, inside the step that computed the loss`,
    );
  }
}
