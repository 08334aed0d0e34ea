/**
 * Adam (Kingma and Ba, ICLR 2015) and AdamW (Loshchilov and Hutter, ICLR 2019), as `torch.optim.Adam` and `AdamW`.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { dtypeId } from "../core/dtype.ts";
import type { Tensor } from "../tensor.ts";
import { Optimizer, type ParameterGroup, type Run } from "./optimizer.ts";

/** Settings of Adam and AdamW. */
export interface AdamSettings {
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

const hyper = new Float64Array(8);

/** Adam: the decay is added to the gradient. */
export class Adam extends Optimizer<AdamSettings> {
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

  protected override checkSettings({ lr, betas, eps, weightDecay }: AdamSettings): void {
    if (!(lr >= 0)) throw new RangeError(`Cannot use lr ${lr}: it must be at least 0`);
    if (!(eps >= 0)) throw new RangeError(`Cannot use eps ${eps}: it must be at least 0`);
    if (!(weightDecay >= 0)) throw new RangeError(`Cannot use weightDecay ${weightDecay}: it must be at least 0`);
    if (betas.length !== 2 || !betas.every((beta) => beta >= 0 && beta < 1)) {
      throw new RangeError(`Cannot use betas [${betas}]: two numbers in [0, 1)`);
    }
  }

  protected override stateNames({ amsgrad }: AdamSettings): readonly string[] {
    return amsgrad ? ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] : ["exp_avg", "exp_avg_sq"];
  }

  protected override stepRun(
    { parameter, gradient, buffers, stateOffset, step, count }: Run,
    settings: AdamSettings,
  ): void {
    const [beta1, beta2] = settings.betas;
    hyper[0] = settings.lr;
    hyper[1] = beta1;
    hyper[2] = beta2;
    hyper[3] = settings.eps;
    hyper[4] = settings.weightDecay;
    hyper[5] = 1 - beta1 ** step;
    hyper[6] = 1 - beta2 ** step;
    hyper[7] = 1;
    const flags = (this.decoupled ? AX.OPTIMIZER_DECOUPLED_DECAY : 0) |
      (settings.maximize ? AX.OPTIMIZER_MAXIMIZE : 0) | (settings.amsgrad ? AX.OPTIMIZER_AMSGRAD : 0);
    const library = parameter.storage.device.library;
    check(
      library.ax_adam_step(
        dtypeId(parameter.dtype),
        parameter.storage.id,
        parameter.offset,
        buffers.exp_avg.storage.id,
        buffers.exp_avg_sq.storage.id,
        settings.amsgrad ? buffers.max_exp_avg_sq.storage.id : 0,
        stateOffset,
        gradient.storage.id,
        gradient.offset,
        count,
        hyper,
        flags,
      ),
      "ax_adam_step",
      library,
    );
  }
}

/** Adam with decoupled weight decay: the weights shrink by lr * weightDecay, whatever the gradient. */
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
