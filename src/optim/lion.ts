/**
 * Lion (Chen and others, "Symbolic Discovery of Optimization Algorithms", arXiv:2302.06675).
 *
 * @module
 */
import { AX } from "../../ffi/constants.ts";
import type { Tensor } from "../tensor.ts";
import { checkBetas } from "./adam.ts";
import { ElementwiseOptimizer, type MasterSettings, type StepNumbers } from "./elementwise.ts";
import { checkNotNegative, type ParameterGroup, type Run } from "./optimizer.ts";

/** Settings of Lion. */
export interface LionSettings extends MasterSettings {
  /** Learning rate; three to ten times smaller than AdamW's. Default 1e-4. */
  lr: number;
  /** Share of the momentum in the direction, and in the next momentum. Default [0.9, 0.99]. */
  betas: readonly [number, number];
  /** The weights shrink by lr * weightDecay. Default 0. */
  weightDecay: number;
  /** Climb instead of descend. Default false. */
  maximize: boolean;
}

/**
 * Sign of an interpolated momentum: every weight moves by lr in each step. One state tensor, `exp_avg`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { optim, tensor } from "../../mod.ts";
 * const x = tensor([1, -1, 0], { requiresGrad: true });
 * const optimizer = new optim.Lion([x], { lr: 0.25 });
 * x.square().sum().backward();
 * optimizer.step();
 * assertEquals(x.toArray(), [0.75, -0.75, 0]);
 * ```
 */
export class Lion extends ElementwiseOptimizer<LionSettings> {
  protected override readonly id = AX.OPTIMIZER_LION;
  protected override readonly states = ["exp_avg"];

  /**
   * @param parameters Parameters or groups.
   * @param options Settings, with the paper's defaults.
   */
  constructor(
    parameters: Iterable<Tensor> | Iterable<ParameterGroup<LionSettings>>,
    options: Partial<LionSettings> = {},
  ) {
    super(parameters, { lr: 1e-4, betas: [0.9, 0.99], weightDecay: 0, maximize: false, ...options });
  }

  protected override checkSettings(settings: LionSettings): void {
    checkNotNegative(settings, "lr", "weightDecay");
    checkBetas(settings.betas);
  }

  protected override stateNames(): readonly string[] {
    return this.states;
  }

  protected override numbersOf(_run: Run, { betas }: LionSettings): StepNumbers {
    return { numbers: betas, flags: AX.STEP_DECOUPLED_DECAY };
  }
}
