/**
 * Saved tensors that are computed again when backward asks for them: the engine of activation checkpointing.
 *
 * The forward pass runs and makes its graph as always, but nodes do not keep what they save: each is told to ask this object,
 * which keeps only the inputs and the state of the random numbers. The first node that asks makes the forward pass run again; what
 * is saved then, in the same order, goes to the nodes of the first run. The graph is that of the plain run, so are the gradients,
 * bit for bit.
 *
 * @module
 */
import type { Tensor } from "../tensor.ts";
import { AutogradError } from "./errors.ts";
import { checkUnchanged, type SavedHolder, type SavedSource, saveTo, withRecorder } from "./node.ts";
import { type Autocast, currentAutocast, runForward, viewOf, withAutocast } from "./op.ts";
import { getRandomState, type RandomState, setRandomState } from "./random.ts";
import { endScope, enterScope } from "./scope.ts";
import { clock } from "./version.ts";

const LABEL = "the end of recomputing a checkpoint";

/** Thrown through the function that is run again, once all holders have their tensors. */
const COMPLETE = Symbol("all saved tensors are there");

function differs(): AutogradError {
  return new AutogradError(
    "Cannot run backward through a checkpoint: its function computed something else the second time. It must depend on " +
      "nothing but its inputs, parameters, and random numbers of this library",
  );
}

/** A part of the forward pass that is run twice. It holds its own inputs as a node holds what it saves, so parts can be nested. */
export class Recomputation implements SavedSource, SavedHolder {
  readonly #forward: (inputs: readonly Tensor[]) => unknown;
  readonly #random: RandomState;
  readonly #autocast: Autocast | null;
  readonly #holders: SavedHolder[] = [];
  /** Holders that may still ask. */
  #waiting = 0;
  #inputs: Tensor[] = [];
  #inputsAt = 0;
  #source: SavedSource | null = null;
  #isReleased = false;

  /**
   * @param forward Runs the part on these inputs.
   * @param inputs The tensors that must live until then.
   */
  constructor(forward: (inputs: readonly Tensor[]) => unknown, inputs: Tensor[]) {
    this.#forward = forward;
    this.#random = getRandomState();
    this.#autocast = currentAutocast();
    saveTo(this, inputs);
  }

  /** Runs the first pass: `fn` computes the part from the original inputs. */
  record<T>(fn: () => T): T {
    try {
      return withRecorder((holder) => {
        this.#holders.push(holder);
        this.#waiting++;
        holder.defer(this);
      }, fn);
    } finally {
      if (this.#waiting === 0) this.#release();
    }
  }

  provide(): void {
    if (this.#isReleased) throw differs();
    const random = getRandomState();
    try {
      this.#source?.provide();
      checkUnchanged(this.#inputs, this.#inputsAt, "checkpoint");
      setRandomState(this.#random);
      this.#runAgain();
    } finally {
      setRandomState(random);
      // Every holder has its tensors now; after an error none will get them.
      this.#release();
    }
  }

  #runAgain(): void {
    const holders = this.#holders;
    let next = 0;
    const scope = enterScope(LABEL);
    try {
      withRecorder((holder, tensors) => {
        const first = holders[next++];
        if (first.identity !== holder.identity) throw differs();
        if (!first.isReleased) first.fill(tensors);
        if (next === holders.length) throw COMPLETE;
      }, () =>
        runForward(() =>
          withAutocast(this.#autocast, () =>
            this.#forward(this.#inputs.map((x) => {
              const input = viewOf(x, x.shape, x.strides, x.offset, "checkpoint");
              input.requiresGrad = x.requiresGrad;
              return input;
            })))
        ));
      throw differs();
    } catch (error) {
      if (error !== COMPLETE) throw error;
    } finally {
      // Nobody asks the graph of the second run for gradients.
      for (const node of scope.nodes) node.release(LABEL);
      endScope(scope);
    }
  }

  forget(): void {
    if (--this.#waiting === 0) this.#release();
  }

  manage(): void {
    for (const { storage } of this.#inputs) storage.manage();
    this.#source?.manage();
  }

  // As a holder.

  fill(tensors: Tensor[]): void {
    for (const { storage } of tensors) storage.retain();
    this.#inputs = tensors;
    this.#inputsAt = clock;
    this.#source = null;
  }

  defer(source: SavedSource): void {
    this.#source = source;
  }

  get isReleased(): boolean {
    return this.#isReleased;
  }

  get identity(): unknown {
    return Recomputation;
  }

  #release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    for (const { storage } of this.#inputs) storage.release();
    this.#inputs = [];
    this.#source?.forget();
    this.#source = null;
  }
}
