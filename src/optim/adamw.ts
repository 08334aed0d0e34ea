/**
 * AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019), as `torch.optim.AdamW`.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { dtypeId } from "../core/dtype.ts";
import { empty } from "../core/op.ts";
import { CATEGORY } from "../core/storage.ts";
import { fillInto } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";

/** Options with PyTorch's defaults. */
export interface AdamWOptions {
  /** Learning rate. Default 1e-3. */
  lr?: number;
  /** Decay of the averages of the gradient and of its square. Default [0.9, 0.999]. */
  betas?: readonly [number, number];
  /** Added to the denominator. Default 1e-8. */
  eps?: number;
  /** Decoupled weight decay. Default 0.01. */
  weightDecay?: number;
}

interface State {
  step: number;
  readonly expAvg: Tensor;
  readonly expAvgSq: Tensor;
}

const hyper = new Float64Array(8);

/** Adam with decoupled weight decay. Parameters without a gradient are skipped. */
export class AdamW {
  readonly #parameters: readonly Tensor[];
  readonly #options: Required<AdamWOptions>;
  readonly #state = new Map<Tensor, State>();

  constructor(parameters: Iterable<Tensor>, options: AdamWOptions = {}) {
    this.#parameters = [...parameters];
    this.#options = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01, ...options };
    if (this.#parameters.length === 0) throw new RangeError("Cannot optimize: the list of parameters is empty");
    if (!(this.#options.lr >= 0)) {
      throw new RangeError(`Cannot use the learning rate ${this.#options.lr}: it must be at least 0`);
    }
  }

  /** Forgets all gradients and releases them. */
  zeroGrad(): void {
    for (const parameter of this.#parameters) {
      parameter.grad?.dispose();
      parameter.grad = null;
    }
  }

  #stateOf(parameter: Tensor): State {
    let state = this.#state.get(parameter);
    if (state === undefined) {
      const make = (): Tensor =>
        fillInto(empty(parameter.storage.device, parameter.shape, parameter.dtype, "AdamW", CATEGORY.optimizer), 0)
          .keep();
      state = { step: 0, expAvg: make(), expAvgSq: make() };
      this.#state.set(parameter, state);
    }
    return state;
  }

  /** Changes every parameter that has a gradient. */
  step(): void {
    const { lr, betas: [beta1, beta2], eps, weightDecay } = this.#options;
    for (const parameter of this.#parameters) {
      const gradient = parameter.grad;
      if (gradient === null) continue;
      const state = this.#stateOf(parameter);
      state.step++;
      hyper.set([lr, beta1, beta2, eps, weightDecay, 1 - beta1 ** state.step, 1 - beta2 ** state.step, 1]);
      const library = parameter.storage.device.library;
      check(
        library.ax_adam_step(
          dtypeId(parameter.dtype),
          parameter.storage.id,
          parameter.offset,
          state.expAvg.storage.id,
          state.expAvgSq.storage.id,
          0,
          state.expAvg.offset,
          gradient.storage.id,
          gradient.offset,
          parameter.size,
          hyper,
          AX.OPTIMIZER_DECOUPLED_DECAY,
        ),
        "ax_adam_step",
        library,
      );
    }
  }
}
