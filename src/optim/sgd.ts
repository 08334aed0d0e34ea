/**
 * Stochastic gradient descent with momentum, as `torch.optim.SGD`.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { dtypeId } from "../core/dtype.ts";
import type { Tensor } from "../tensor.ts";
import { Optimizer, type ParameterGroup, type Run } from "./optimizer.ts";

/** Settings of SGD. */
export interface SGDSettings {
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

const hyper = new Float64Array(5);

/** Stochastic gradient descent. */
export class SGD extends Optimizer<SGDSettings> {
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

  protected override checkSettings({ lr, momentum, dampening, weightDecay, nesterov }: SGDSettings): void {
    if (!(lr >= 0)) throw new RangeError(`Cannot use lr ${lr}: it must be at least 0`);
    if (!(momentum >= 0)) throw new RangeError(`Cannot use momentum ${momentum}: it must be at least 0`);
    if (!(weightDecay >= 0)) throw new RangeError(`Cannot use weightDecay ${weightDecay}: it must be at least 0`);
    if (nesterov && (momentum <= 0 || dampening !== 0)) {
      throw new RangeError("Cannot use nesterov: it needs a momentum above 0 and no dampening");
    }
  }

  protected override stateNames({ momentum }: SGDSettings): readonly string[] {
    return momentum > 0 ? ["momentum_buffer"] : [];
  }

  protected override stepRun(
    { parameter, gradient, buffers, stateOffset, step, count }: Run,
    settings: SGDSettings,
  ): void {
    hyper[0] = settings.lr;
    hyper[1] = settings.momentum;
    hyper[2] = settings.dampening;
    hyper[3] = settings.weightDecay;
    hyper[4] = 1;
    const flags = (settings.maximize ? AX.OPTIMIZER_MAXIMIZE : 0) | (settings.nesterov ? AX.OPTIMIZER_NESTEROV : 0) |
      (step === 1 ? AX.OPTIMIZER_FIRST_STEP : 0);
    const library = parameter.storage.device.library;
    check(
      library.ax_sgd_step(
        dtypeId(parameter.dtype),
        parameter.storage.id,
        parameter.offset,
        settings.momentum > 0 ? buffers.momentum_buffer.storage.id : 0,
        stateOffset,
        gradient.storage.id,
        gradient.offset,
        count,
        hyper,
        flags,
      ),
      "ax_sgd_step",
      library,
    );
  }
}
