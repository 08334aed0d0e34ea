/**
 * RMSprop (Tieleman and Hinton, 2012) and Adagrad (Duchi, Hazan and Singer, JMLR 2011), as `torch.optim.RMSprop` and `Adagrad`.
 *
 * @module
 */
import { AX } from "../../ffi/constants.ts";
import type { Tensor } from "../tensor.ts";
import { ElementwiseOptimizer, type MasterSettings, type StepNumbers } from "./elementwise.ts";
import { checkNotNegative, type ParameterGroup, type Run } from "./optimizer.ts";

/** Settings of RMSprop. */
export interface RMSpropSettings extends MasterSettings {
  /** Learning rate. Default 1e-2. */
  lr: number;
  /** Decay of the average of the squared gradient. Default 0.99. */
  alpha: number;
  /** Added to the denominator. Default 1e-8. */
  eps: number;
  /** Added to the gradient, times the weights. Default 0. */
  weightDecay: number;
  /** Share of the last change that is kept. Default 0. */
  momentum: number;
  /** Divide by an estimate of the variance instead of the mean square. Default false. */
  centered: boolean;
  /** Climb instead of descend. Default false. */
  maximize: boolean;
}

/** Divides the gradient by a running average of its size. */
export class RMSprop extends ElementwiseOptimizer<RMSpropSettings> {
  protected override readonly id = AX.OPTIMIZER_RMSPROP;
  protected override readonly states = ["square_avg", "grad_avg", "momentum_buffer"];

  /**
   * @param parameters Parameters or groups.
   * @param options Settings, with PyTorch's defaults.
   */
  constructor(
    parameters: Iterable<Tensor> | Iterable<ParameterGroup<RMSpropSettings>>,
    options: Partial<RMSpropSettings> = {},
  ) {
    super(parameters, {
      lr: 1e-2,
      alpha: 0.99,
      eps: 1e-8,
      weightDecay: 0,
      momentum: 0,
      centered: false,
      maximize: false,
      ...options,
    });
  }

  protected override checkSettings(settings: RMSpropSettings): void {
    checkNotNegative(settings, "lr", "alpha", "eps", "weightDecay", "momentum");
  }

  protected override stateNames({ centered, momentum }: RMSpropSettings): readonly string[] {
    return ["square_avg", ...(centered ? ["grad_avg"] : []), ...(momentum > 0 ? ["momentum_buffer"] : [])];
  }

  protected override numbersOf(_run: Run, { alpha, eps, momentum }: RMSpropSettings): StepNumbers {
    return { numbers: [alpha, eps, momentum] };
  }
}

/** Settings of Adagrad. */
export interface AdagradSettings extends MasterSettings {
  /** Learning rate. Default 1e-2. */
  lr: number;
  /** The learning rate is divided by 1 + lrDecay * (steps before). Default 0. */
  lrDecay: number;
  /** Added to the gradient, times the weights. Default 0. */
  weightDecay: number;
  /** What the sum of squares begins with. Default 0. */
  initialAccumulatorValue: number;
  /** Added to the denominator. Default 1e-10. */
  eps: number;
  /** Climb instead of descend. Default false. */
  maximize: boolean;
}

/** Divides the gradient by the root of the sum of all its squares so far. */
export class Adagrad extends ElementwiseOptimizer<AdagradSettings> {
  protected override readonly id = AX.OPTIMIZER_ADAGRAD;
  protected override readonly states = ["sum"];

  /**
   * @param parameters Parameters or groups.
   * @param options Settings, with PyTorch's defaults.
   */
  constructor(
    parameters: Iterable<Tensor> | Iterable<ParameterGroup<AdagradSettings>>,
    options: Partial<AdagradSettings> = {},
  ) {
    super(parameters, {
      lr: 1e-2,
      lrDecay: 0,
      weightDecay: 0,
      initialAccumulatorValue: 0,
      eps: 1e-10,
      maximize: false,
      ...options,
    });
  }

  protected override checkSettings(settings: AdagradSettings): void {
    checkNotNegative(settings, "lr", "lrDecay", "weightDecay", "initialAccumulatorValue", "eps");
  }

  protected override stateNames(): readonly string[] {
    return this.states;
  }

  protected override initialState({ initialAccumulatorValue }: AdagradSettings): number {
    return initialAccumulatorValue;
  }

  protected override numbersOf({ numbers: { step } }: Run, { lr, lrDecay, eps }: AdagradSettings): StepNumbers {
    return { numbers: [eps], lr: lr / (1 + (step - 1) * lrDecay) };
  }
}
