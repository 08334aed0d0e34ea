/**
 * Adam (Kingma and Ba, ICLR 2015), AdamW (Loshchilov and Hutter, ICLR 2019) and NAdam (Dozat, ICLR workshop 2016), as
 * `torch.optim.Adam`, `AdamW` and `NAdam`.
 *
 * @module
 */
import { AX } from "../../ffi/constants.ts";
import type { Tensor } from "../tensor.ts";
import {
  ElementwiseOptimizer,
  type ElementwiseSettings,
  type MasterSettings,
  type StepNumbers,
} from "./elementwise.ts";
import { checkNotNegative, type ParameterGroup, type Run, type StateNumbers } from "./optimizer.ts";

/** Settings of Adam and AdamW. */
export interface AdamSettings extends MasterSettings {
  /** Learning rate. Default 1e-3. */
  lr: number;
  /** Decay of the averages of the gradient and of its square. Default [0.9, 0.999]. */
  betas: readonly [number, number];
  /** Added to the denominator. Default 1e-8. */
  eps: number;
  /** Weight decay. Default 0 for Adam, 0.01 for AdamW. */
  weightDecay: number;
  /** Divide by the largest average so far. Default false. */
  amsgrad: boolean;
  /** Climb instead of descend. Default false. */
  maximize: boolean;
}

const WITHOUT_MAXIMUM: readonly string[] = ["exp_avg", "exp_avg_sq"];

/** Throws a RangeError unless both are in [0, 1). */
export function checkBetas(betas: readonly number[]): void {
  if (betas.length === 2 && betas.every((beta) => beta >= 0 && beta < 1)) return;
  throw new RangeError(`Cannot use betas [${betas}]: give two numbers in [0, 1)`);
}

/** Adam: the decay is added to the gradient. */
export class Adam extends ElementwiseOptimizer<AdamSettings> {
  protected override readonly id: number = AX.OPTIMIZER_ADAM;
  protected override readonly states: readonly string[] = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"];
  /** Whether the decay shrinks the weights directly. */
  protected readonly decoupled: boolean = false;

  /**
   * @param parameters Parameters or groups.
   * @param options Settings, with PyTorch's defaults.
   */
  constructor(
    parameters: Iterable<Tensor> | Iterable<ParameterGroup<AdamSettings>>,
    options: Partial<AdamSettings> = {},
  ) {
    super(parameters, {
      lr: 1e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0,
      amsgrad: false,
      maximize: false,
      ...options,
    });
  }

  protected override checkSettings(settings: AdamSettings): void {
    checkNotNegative(settings, "lr", "eps", "weightDecay");
    checkBetas(settings.betas);
  }

  protected override stateNames({ amsgrad }: AdamSettings): readonly string[] {
    return amsgrad ? this.states : WITHOUT_MAXIMUM;
  }

  protected override numbersOf({ numbers: { step } }: Run, { betas, eps }: AdamSettings): StepNumbers {
    const [beta1, beta2] = betas;
    return {
      numbers: [beta1, beta2, eps, 1 - beta1 ** step, 1 - beta2 ** step],
      flags: this.decoupled ? AX.STEP_DECOUPLED_DECAY : 0,
    };
  }
}

/**
 * Adam with decoupled weight decay: the weights shrink by lr * weightDecay, whatever the gradient.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { optim, tensor } from "../../mod.ts";
 * const x = tensor([3, -2], { requiresGrad: true });
 * const optimizer = new optim.AdamW([x], { lr: 0.1 });
 * for (let step = 0; step < 200; step++) {
 *   optimizer.zeroGrad();
 *   x.square().sum().backward();
 *   optimizer.step();
 * }
 * assert(x.square().sum().item() < 1e-3);
 * ```
 */
export class AdamW extends Adam {
  protected override readonly decoupled: boolean = true;

  /**
   * @param parameters Parameters or groups.
   * @param options Settings, with PyTorch's defaults.
   */
  constructor(
    parameters: Iterable<Tensor> | Iterable<ParameterGroup<AdamSettings>>,
    options: Partial<AdamSettings> = {},
  ) {
    super(parameters, { weightDecay: 0.01, ...options });
  }
}

/** Settings of NAdam. */
export interface NAdamSettings extends ElementwiseSettings {
  /** Learning rate. Default 2e-3. */
  lr: number;
  /** Decay of the averages of the gradient and of its square. Default [0.9, 0.999]. */
  betas: readonly [number, number];
  /** Added to the denominator. Default 1e-8. */
  eps: number;
  /** Weight decay. Default 0. */
  weightDecay: number;
  /** How fast the momentum approaches beta1. Default 4e-3. */
  momentumDecay: number;
  /** Shrink the weights directly, as AdamW. Default false. */
  decoupledWeightDecay: boolean;
  /** Climb instead of descend. Default false. */
  maximize: boolean;
}

/** Adam with Nesterov momentum. */
export class NAdam extends ElementwiseOptimizer<NAdamSettings> {
  protected override readonly id = AX.OPTIMIZER_NADAM;
  protected override readonly states = ["exp_avg", "exp_avg_sq"];

  /**
   * @param parameters Parameters or groups.
   * @param options Settings, with PyTorch's defaults.
   */
  constructor(
    parameters: Iterable<Tensor> | Iterable<ParameterGroup<NAdamSettings>>,
    options: Partial<NAdamSettings> = {},
  ) {
    super(parameters, {
      lr: 2e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0,
      momentumDecay: 4e-3,
      decoupledWeightDecay: false,
      maximize: false,
      ...options,
    });
  }

  protected override checkSettings(settings: NAdamSettings): void {
    checkNotNegative(settings, "lr", "eps", "weightDecay", "momentumDecay");
    checkBetas(settings.betas);
  }

  protected override stateNames(): readonly string[] {
    return this.states;
  }

  protected override initialNumbers(): StateNumbers {
    return { step: 0, mu_product: 1 };
  }

  #momentum(step: number, { betas, momentumDecay }: NAdamSettings): number {
    return betas[0] * (1 - 0.5 * 0.96 ** (step * momentumDecay));
  }

  protected override advance(numbers: StateNumbers, settings: NAdamSettings): void {
    numbers.step++;
    // PyTorch keeps the product in float32, whatever the parameter.
    numbers.mu_product = Math.fround(numbers.mu_product * Math.fround(this.#momentum(numbers.step, settings)));
  }

  protected override numbersOf({ numbers: { step, mu_product } }: Run, settings: NAdamSettings): StepNumbers {
    const { lr, betas: [beta1, beta2], eps } = settings;
    const now = this.#momentum(step, settings);
    const next = this.#momentum(step + 1, settings);
    return {
      numbers: [
        beta1,
        beta2,
        eps,
        1 - beta2 ** step,
        lr * (1 - now) / (1 - mu_product),
        lr * next / (1 - mu_product * next),
      ],
      flags: settings.decoupledWeightDecay ? AX.STEP_DECOUPLED_DECAY : 0,
    };
  }
}
