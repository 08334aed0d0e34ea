/**
 * Stochastic gradient descent with momentum, as `torch.optim.SGD`.
 *
 * @module
 */
import { AX } from "../../ffi/constants.ts";
import type { Tensor } from "../tensor.ts";
import { ElementwiseOptimizer, type MasterSettings, type StepNumbers } from "./elementwise.ts";
import { checkNotNegative, type ParameterGroup, type Run } from "./optimizer.ts";

/** Settings of SGD. */
export interface SGDSettings extends MasterSettings {
  /** Learning rate. Default 1e-3. */
  lr: number;
  /** Share of the last change that is kept. Default 0. */
  momentum: number;
  /** Share of the gradient that momentum drops. Default 0. */
  dampening: number;
  /** Added to the gradient, times the weights. Default 0. */
  weightDecay: number;
  /** Look ahead along the momentum. Default false. */
  nesterov: boolean;
  /** Climb instead of descend. Default false. */
  maximize: boolean;
}

/** Stochastic gradient descent. */
export class SGD extends ElementwiseOptimizer<SGDSettings> {
  protected override readonly id = AX.OPTIMIZER_SGD;
  protected override readonly states = ["momentum_buffer"];

  /**
   * @param parameters Parameters or groups.
   * @param options Settings, with PyTorch's defaults.
   */
  constructor(
    parameters: Iterable<Tensor> | Iterable<ParameterGroup<SGDSettings>>,
    options: Partial<SGDSettings> = {},
  ) {
    super(parameters, {
      lr: 1e-3,
      momentum: 0,
      dampening: 0,
      weightDecay: 0,
      nesterov: false,
      maximize: false,
      ...options,
    });
  }

  protected override checkSettings(settings: SGDSettings): void {
    checkNotNegative(settings, "lr", "momentum", "weightDecay");
    if (settings.nesterov && (settings.momentum <= 0 || settings.dampening !== 0)) {
      throw new RangeError("Cannot use nesterov: it needs a momentum above 0 and no dampening");
    }
  }

  protected override stateNames({ momentum }: SGDSettings): readonly string[] {
    return momentum > 0 ? ["momentum_buffer"] : [];
  }

  protected override numbersOf({ isFirst }: Run, { momentum, dampening, nesterov }: SGDSettings): StepNumbers {
    return {
      numbers: [momentum, dampening],
      flags: (nesterov ? AX.STEP_NESTEROV : 0) | (isFirst ? AX.STEP_FIRST : 0),
    };
  }
}
