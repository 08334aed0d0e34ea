/**
 * A node of the autograd graph: what an operation needs to compute the gradients of its inputs.
 *
 * @module
 */
import type { Tensor } from "../tensor.ts";
import { AutogradError, ReleasedError } from "./errors.ts";
import type { Op } from "./op.ts";
import { formatShape, type Shape } from "./shape.ts";
import { clock } from "./version.ts";

/** What a `vjp` returns for an input whose gradient it has written into its place itself: see `sink` and `sumSoFar` of {@link Node}. */
export const WRITTEN: unique symbol = Symbol("gradient written into its sink");

/** One gradient: a tensor, nothing, or already in its place. */
export type Gradient = Tensor | null | typeof WRITTEN;

/** Who keeps tensors for the backward pass. */
export interface SavedHolder {
  /** Takes the tensors. */
  fill(tensors: Tensor[]): void;
  /** Learns that a source has the tensors, and gives them on demand. */
  defer(source: SavedSource): void;
  readonly isReleased: boolean;
  /** Equal for the same step of two runs of one computation. */
  readonly identity: unknown;
}

/** Who can compute saved tensors again: see recompute.ts. */
export interface SavedSource {
  /** Fills all holders that were deferred to it. */
  provide(): void;
  /** A holder needs its tensors no longer. */
  forget(): void;
  /** Leaves what it holds to the garbage collector. */
  manage(): void;
}

/** Receives what is saved, instead of the holder. */
export type SavedRecorder = (holder: SavedHolder, tensors: Tensor[]) => void;

let recorder: SavedRecorder | null = null;

/** Runs a function whose saved tensors go to a recorder. */
export function withRecorder<T>(next: SavedRecorder, fn: () => T): T {
  const before = recorder;
  recorder = next;
  try {
    return fn();
  } finally {
    recorder = before;
  }
}

/** Gives tensors to a holder, or to the recorder that is in force. */
export function saveTo(holder: SavedHolder, tensors: Tensor[]): void {
  if (recorder === null) holder.fill(tensors);
  else recorder(holder, tensors);
}

/** Throws when a tensor was changed in place after `savedAt`. */
export function checkUnchanged(tensors: readonly Tensor[], savedAt: number, op: string): void {
  for (let i = 0; i < tensors.length; i++) {
    if (tensors[i].storage.changedAt > savedAt) throw changedError(tensors[i], op);
  }
}

function changedError(tensor: Tensor, op: string): AutogradError {
  return new AutogradError(
    `Cannot run backward through ${op}: one of the variables needed for gradient computation has been modified by an ` +
      `inplace operation. ${op} saved the tensor of shape ${
        formatShape(tensor.shape)
      }, and ${tensor.storage.changedBy} changed it ` +
      `since. Change a clone(), use the operation that is not in place, or change it after backward()`,
  );
}

/** Called with the gradient of a tensor; what it returns replaces the gradient. */
export type GradientHook = (gradient: Tensor) => Tensor | void | undefined;

/** What backward calls when the gradient of a tensor is complete. */
export interface NodeHooks {
  readonly hooks: Set<GradientHook>;
  /** Tensors whose `grad` receives the gradient after the hooks. */
  readonly retaining: Tensor[];
}

/** Hands a tensor whose `grad` is wanted from its old node to its new one; hooks stay with the values they were registered for. */
export function moveRetained(tensor: Tensor, from: Node, to: Node): void {
  const at = from.hooks === null ? -1 : from.hooks.retaining.indexOf(tensor);
  if (at < 0) return;
  from.hooks!.retaining.splice(at, 1);
  hooksOf(to).retaining.push(tensor);
}

/** The hooks of a node, made when first asked for. */
export function hooksOf(node: Node): NodeHooks {
  return node.hooks ??= { hooks: new Set(), retaining: [] };
}

let nextSequence = 0;

const NOTHING: Tensor[] = [];

/** Created by `apply` for each operation that a gradient must flow through. */
// deno-lint-ignore no-explicit-any
export class Node<A = any> implements SavedHolder {
  /** Order of creation: a node only depends on nodes with a smaller number. */
  readonly sequence: number;
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
  /** Hooks of the tensor that the operation made. */
  hooks: NodeHooks | null = null;
  #saved: Tensor[] = NOTHING;
  #savedAt = 0;
  #source: SavedSource | null = null;
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
      if (input.viewed !== null) input.refreshHistory();
      this.edges[i] = input.ownRequiresGrad ? input.ownNode ?? input : null;
      this.inputShapes[i] = input.shape;
    }
    // Last: asking a view for its node may have made one, on which this one depends.
    this.sequence = nextSequence++;
  }

  /** Keeps tensors for the backward pass; they outlive their scope until then. */
  save(...tensors: Tensor[]): void {
    if (recorder === null) this.fill(tensors);
    else recorder(this, tensors);
  }

  /** @internal Use {@link save}. */
  fill(tensors: Tensor[]): void {
    for (let i = 0; i < tensors.length; i++) tensors[i].storage.retain();
    this.#saved = tensors;
    this.#savedAt = clock;
    this.#source = null;
  }

  /** @internal What is saved comes from a source when it is asked for. */
  defer(source: SavedSource): void {
    this.#source = source;
  }

  /**
   * What was saved.
   *
   * @throws {ReleasedError} When the graph was freed by an earlier backward or by the end of its scope.
   * @throws {AutogradError} When a saved tensor was changed in place since.
   */
  get saved(): readonly Tensor[] {
    if (this.#releasedWhen !== null) throw this.releasedError();
    if (this.#source !== null) this.#source.provide();
    checkUnchanged(this.#saved, this.#savedAt, this.op.name);
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
    return edge === null || edge.isNode || edge.leafHooks !== null ? null : edge.gradSlot;
  }

  /** 0 where the sink must be overwritten, 1 where it holds a gradient to add to. */
  sinkBeta(index: number): number {
    const edge = this.edges[index];
    return edge === null || edge.isNode || edge.grad === null ? 0 : 1;
  }

  /**
   * The gradient that the operation behind input `index` has collected from others so far, when nobody else sees its memory. A `vjp`
   * whose part is zero almost everywhere may add to it and return {@link WRITTEN}.
   */
  sumSoFar(index: number): Tensor | null {
    const edge = this.edges[index];
    if (edge === null || !edge.isNode) return null;
    const { gradient } = edge;
    const isOwn = gradient !== null && gradient.isContiguous && gradient.shape.length > 0 &&
      gradient.storage.references === 1;
    return isOwn ? gradient : null;
  }

  get isReleased(): boolean {
    return this.#releasedWhen !== null;
  }

  /** @internal The operation: see {@link SavedHolder}. */
  get identity(): unknown {
    return this.op;
  }

  /** Tells a node from a leaf at the end of an edge; `instanceof` would walk the leaf's chain of classes. */
  get isNode(): true {
    return true;
  }

  /** Frees what was saved and cuts the graph, so that a tensor that is kept does not hold its history. */
  release(when: string): void {
    if (this.#releasedWhen !== null) return;
    this.#releasedWhen = when;
    for (let i = 0; i < this.#saved.length; i++) this.#saved[i].storage.release();
    this.#saved = NOTHING;
    if (this.#source !== null) this.#source.forget();
    this.edges.fill(null);
    this.gradient = null;
  }

  /** Leaves what was saved to the garbage collector: for graphs that outlive all scopes. */
  manage(): void {
    for (const tensor of this.#saved) tensor.storage.manage();
    this.#source?.manage();
  }

  releasedError(): ReleasedError {
    return new ReleasedError(
      `Cannot run backward through ${this.op.name} of shape (${this.shape.join(", ")}): its graph was freed at ` +
        `${this.#releasedWhen}. Call backward() once, inside the step that computed the loss, or pass { retainGraph: true } ` +
        `to the first of several`,
    );
  }
}
