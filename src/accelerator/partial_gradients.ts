/**
 * Gradients that wait for a step: a checkpoint inside of an accumulation window must hold them, and where the window is.
 *
 * @module
 */
import { noGrad } from "../core/op.ts";
import { sameShape } from "../core/shape.ts";
import { tensor } from "../creation.ts";
import { copyInto } from "../ops/launch.ts";
import { toDevice } from "../ops/copy.ts";
import type { Tensor } from "../tensor.ts";
import type { Gradients } from "./gradients.ts";
import type { AnyOptimizer, OptimizerLink } from "./optimizer_link.ts";
import { Window, type WindowState } from "./window.ts";

/**
 * A window in a checkpoint. What differs between the ranks are the tensors; their means over the ranks are right for any other number of
 * ranks, since a step divides the sum of all gradients by the sum of all weights.
 */
interface SavedWindow {
  readonly state: Omit<WindowState, "weight">;
  /** Sum of the normalizers, if there are any. */
  readonly weight: Tensor | null;
  /** Whether the gradients are still this rank's own. */
  readonly isLocal: boolean;
}

/** Windows, and gradients of each optimizer by the number of the parameter. */
export interface AccumulationDict {
  readonly windows: readonly SavedWindow[];
  readonly gradients: readonly Readonly<Record<string, Tensor>>[];
}

/** Saves and loads what is accumulated. */
export class PartialGradients {
  readonly #gradients: Gradients;

  /** @param gradients Whose. */
  constructor(gradients: Gradients) {
    this.#gradients = gradients;
  }

  get #links(): OptimizerLink[] {
    return [...this.#gradients.links.values()];
  }

  get #windows(): Window[] {
    return [...new Set(this.#links.map(({ window }) => window))];
  }

  #isLocal(window: Window): boolean {
    const { reducers, globalBatch } = this.#gradients;
    if (globalBatch?.isDeterministic === true) return false;
    return window.isPartial || [...window.buffers].some((buffer) => reducers.get(buffer)?.hasLocal === true);
  }

  /** The windows and gradients; `undefined` when everything was used. */
  stateDict(): AccumulationDict | undefined {
    const gradients = this.#links.map(({ optimizer, isPending }) =>
      isPending
        ? Object.fromEntries(parametersOf(optimizer).flatMap(({ grad }, i) => grad === null ? [] : [[i, grad]]))
        : {}
    );
    const windows = this.#windows;
    const isOpen = windows.some(({ closes, count }) => !closes && count > 0);
    if (!isOpen && gradients.every((each) => Object.keys(each).length === 0)) return undefined;
    return {
      windows: windows.map((window) => {
        const { weight, ...state } = window.stateDict();
        const sum = weight === null ? null : tensor([weight], { dtype: "float64", device: "cpu" });
        return { state, weight: sum, isLocal: this.#isLocal(window) };
      }),
      gradients,
    };
  }

  /**
   * Throws when a state does not fit.
   *
   * @throws {RangeError} When windows or gradients do not correspond.
   */
  checkStateDict(dict: AccumulationDict | undefined): void {
    if (dict === undefined) return;
    const links = this.#links;
    if (dict.gradients.length !== links.length || dict.windows.length !== this.#windows.length) {
      throw new RangeError(`found windows of ${dict.gradients.length} optimizers, but prepared ${links.length}`);
    }
    dict.gradients.forEach((saved, index) => {
      const parameters = parametersOf(links[index].optimizer);
      for (const [i, { shape, dtype }] of Object.entries(saved)) {
        const parameter = parameters[Number(i)];
        if (parameter !== undefined && sameShape(parameter.shape, shape) && parameter.dtype === dtype) continue;
        throw new RangeError(`the gradient of parameter ${i} of optimizer ${index} fits none`);
      }
    });
  }

  /** Takes over what `stateDict` returned; without it, nothing is accumulated. */
  loadStateDict(dict: AccumulationDict | undefined): void {
    const { reducers } = this.#gradients;
    this.#windows.forEach((window, i) => {
      const saved = dict?.windows[i];
      const { state, weight, isLocal } = saved ?? { state: new Window().stateDict(), weight: null, isLocal: false };
      window.loadStateDict({ ...state, weight: weight === null ? null : weight.item() });
      for (const buffer of window.buffers) reducers.get(buffer)?.resume(isLocal);
    });
    this.#links.forEach((link, index) => {
      const saved = dict?.gradients[index] ?? {};
      link.isPending = Object.keys(saved).length > 0;
      noGrad(() =>
        parametersOf(link.optimizer).forEach((parameter, i) => {
          if (parameter.grad !== null && parameter.grad !== parameter.gradSlot) parameter.grad.dispose();
          parameter.grad = null;
          if (saved[i] === undefined) return;
          copyInto(parameter.gradSlot!, toDevice(saved[i], parameter.storage.device));
          parameter.grad = parameter.gradSlot;
        })
      );
    });
  }
}

function parametersOf(optimizer: AnyOptimizer): readonly Tensor[] {
  return optimizer.paramGroups.flatMap(({ params }) => params) as Tensor[];
}
