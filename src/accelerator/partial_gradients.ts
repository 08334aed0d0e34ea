/**
 * Gradients that wait for an optimizer step: a checkpoint inside an accumulation window must hold them.
 *
 * @module
 */
import { noGrad } from "../core/op.ts";
import { sameShape } from "../core/shape.ts";
import { copyInto } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";
import type { Registry } from "./registry.ts";

/** What is accumulated since the last step; the same on every rank but for the tensors. */
export interface AccumulationState {
  /** Plain values and tensors; `undefined` when no window is open. */
  stateDict(): unknown;
  /** Throws when a state does not fit. */
  checkStateDict(state: unknown): void;
  /** Takes over what `stateDict` returned; `undefined` closes the window. */
  loadStateDict(state: unknown): void;
}

/** Gradients by optimizer and parameter, each by its number. */
interface GradientDict {
  gradients: Record<string, Record<string, Tensor>>;
}

const NOTHING: GradientDict = { gradients: {} };

type AnyOptimizer = Registry["optimizers"][number];

/** Notes which optimizers have gradients that no step has used. */
export class PartialGradients implements AccumulationState {
  readonly #registry: Registry;
  readonly #open = new Set<AnyOptimizer>();
  readonly #watched = new WeakSet<AnyOptimizer>();

  /** @param registry Whose optimizers. */
  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** Learns when an optimizer steps. */
  watch(optimizer: AnyOptimizer): void {
    if (this.#watched.has(optimizer)) return;
    this.#watched.add(optimizer);
    const before = optimizer.beforeStep;
    optimizer.beforeStep = () => {
      before?.();
      this.#open.delete(optimizer);
    };
  }

  /** A backward pass has added to gradients. */
  noteBackward(): void {
    for (const optimizer of this.#registry.optimizers) this.#open.add(optimizer);
  }

  stateDict(): GradientDict | undefined {
    const gradients: GradientDict["gradients"] = {};
    this.#registry.optimizers.forEach((optimizer, index) => {
      if (!this.#open.has(optimizer)) return;
      const found = parametersOf(optimizer).flatMap(({ grad }, i) => grad === null ? [] : [[String(i), grad] as const]);
      if (found.length > 0) gradients[index] = Object.fromEntries(found);
    });
    return Object.keys(gradients).length === 0 ? undefined : { gradients };
  }

  checkStateDict(state: unknown): void {
    const { gradients } = (state ?? NOTHING) as GradientDict;
    for (const [index, saved] of Object.entries(gradients)) {
      const optimizer = this.#registry.optimizers[Number(index)];
      const parameters = optimizer === undefined ? [] : parametersOf(optimizer);
      for (const [i, { shape, dtype }] of Object.entries(saved)) {
        const parameter = parameters[Number(i)];
        if (parameter !== undefined && sameShape(parameter.shape, shape) && parameter.dtype === dtype) continue;
        throw new RangeError(`the gradient of parameter ${i} of optimizer ${index} fits none`);
      }
    }
  }

  loadStateDict(state: unknown): void {
    const { gradients } = (state ?? NOTHING) as GradientDict;
    this.#open.clear();
    this.#registry.optimizers.forEach((optimizer, index) => {
      optimizer.zeroGrad();
      const saved = gradients[index];
      if (saved === undefined) return;
      this.#open.add(optimizer);
      noGrad(() =>
        parametersOf(optimizer).forEach((parameter, i) => {
          if (saved[i] === undefined) return;
          const slot = parameter.gradSlot!;
          copyInto(slot, saved[i]);
          parameter.grad = slot;
        })
      );
    });
  }
}

function parametersOf(optimizer: AnyOptimizer): readonly Tensor[] {
  return optimizer.paramGroups.flatMap(({ params }) => params) as Tensor[];
}
