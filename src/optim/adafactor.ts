/**
 * Adafactor (Shazeer and Stern, ICML 2018), as `torch.optim.Adafactor`.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { type DType, dtypeId } from "../core/dtype.ts";
import { empty } from "../core/op.ts";
import { recording } from "../core/recording.ts";
import type { Shape } from "../core/shape.ts";
import { copied, copyInto } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";
import { checkNotNegative, Optimizer, type ParameterGroup, type Run } from "./optimizer.ts";

/** Settings of Adafactor. */
export interface AdafactorSettings {
  /** Largest relative step size, and the factor of the weight decay. Default 1e-2. */
  lr: number;
  /** Exponent of the step in 1 - beta2. Default -0.8. */
  beta2Decay: number;
  /** Least variance (null: the epsilon of the dtype) and least scale of a parameter. Default [null, 1e-3]. */
  eps: readonly [number | null, number];
  /** Updates whose root mean square is above it are scaled down. Default 1. */
  d: number;
  /** The weights shrink by lr * weightDecay. Default 0. */
  weightDecay: number;
  /** Climb instead of descend. Default false. */
  maximize: boolean;
}

const hyper = new Float64Array(8);
const EPSILON: Partial<Record<DType, number>> = {
  float32: 2 ** -23,
  float64: 2 ** -52,
  bfloat16: 2 ** -7,
  float16: 2 ** -10,
};

/**
 * Adaptive steps with little memory: the variance of a matrix is kept as one number for each row and column (`row_var`, `col_var`;
 * `variance` for vectors). Step sizes are relative to the size of the parameter.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { nn, ones, optim } from "../../mod.ts";
 * const model = new nn.Linear(3, 2);
 * const optimizer = new optim.Adafactor(model.parameters());
 * model.forward(ones([1, 3])).sum().backward();
 * optimizer.step();
 * const { row_var, col_var } = optimizer.stateDict().state[0];
 * assertEquals([row_var, col_var].map((t) => typeof t === "object" && t.shape), [[2, 1], [1, 3]]);
 * ```
 */
export class Adafactor extends Optimizer<AdafactorSettings> {
  /**
   * @param parameters Parameters or groups.
   * @param options Settings, with PyTorch's defaults.
   */
  constructor(
    parameters: Iterable<Tensor> | Iterable<ParameterGroup<AdafactorSettings>>,
    options: Partial<AdafactorSettings> = {},
  ) {
    super(parameters, {
      lr: 1e-2,
      beta2Decay: -0.8,
      eps: [null, 1e-3],
      d: 1,
      weightDecay: 0,
      maximize: false,
      ...options,
    });
  }

  protected override checkSettings({ lr, beta2Decay, eps, d, weightDecay }: AdafactorSettings): void {
    checkNotNegative({ lr, weightDecay, eps1: eps[0] ?? 0, eps2: eps[1] }, "lr", "weightDecay", "eps1", "eps2");
    if (!(beta2Decay <= 0)) throw new RangeError(`Cannot use beta2Decay ${beta2Decay}: it must be at most 0`);
    if (!(d >= 1)) throw new RangeError(`Cannot use the clipping threshold d ${d}: it must be at least 1`);
  }

  protected override get isElementwise(): boolean {
    return false;
  }

  protected override stateNames(_settings: AdafactorSettings, { shape }: Tensor): readonly string[] {
    return shape.length > 1 ? ["row_var", "col_var"] : ["variance"];
  }

  protected override stateShape(name: string, { shape }: Tensor): Shape {
    if (name === "row_var") return [...shape.slice(0, -1), 1];
    if (name === "col_var") return [...shape.slice(0, -2), 1, shape[shape.length - 1]];
    return shape;
  }

  protected override get isRecordable(): boolean {
    return true;
  }

  protected override stepRun(run: Run, settings: AdafactorSettings): void {
    const { parameter, gradient, buffers } = run;
    writeNumbers(hyper, run, settings);
    recording?.liveNumbers(hyper.length, (target) => writeNumbers(target, run, settings));
    const changed = [parameter, ...Object.values(buffers)];
    if (parameter.dtype === "float32" || parameter.dtype === "float64") {
      stepMatrices(changed, gradient);
      return;
    }
    // 16-bit values are computed in float32 and rounded once.
    const wide = changed.map((x) => copied(x, "Adafactor", "float32"));
    const wideGradient = copied(gradient, "Adafactor", "float32");
    stepMatrices(wide, wideGradient);
    changed.forEach((x, i) => copyInto(x, wide[i]));
    for (const x of [...wide, wideGradient]) x.dispose();
  }
}

function writeNumbers(target: Float64Array, { parameter, numbers: { step } }: Run, settings: AdafactorSettings): void {
  const { lr, eps } = settings;
  target[0] = lr;
  target[1] = settings.weightDecay;
  target[2] = settings.maximize ? -1 : 1;
  target[3] = step ** settings.beta2Decay;
  target[4] = Math.min(lr, 1 / Math.sqrt(step));
  target[5] = eps[0] ?? EPSILON[parameter.dtype]!;
  target[6] = eps[1];
  target[7] = settings.d;
}

/** `changed` holds the parameter, then row_var and col_var, or variance. */
function stepMatrices([parameter, rowVar, colVar]: readonly (Tensor | undefined)[], gradient: Tensor): void {
  const { shape, size, dtype, storage, offset } = parameter!;
  const isMatrix = shape.length > 1;
  const cols = isMatrix ? shape[shape.length - 1] : size;
  const rows = isMatrix ? shape[shape.length - 2] : 1;
  const outer = size === 0 ? 0 : size / (rows * cols);
  const { device } = storage;
  const scratch = empty(device, [2 + outer + 2 * outer * rows + outer * cols], "float64", "Adafactor");
  check(
    device.library.ax_adafactor_step(
      dtypeId(dtype),
      storage.id,
      offset,
      rowVar!.storage.id,
      colVar?.storage.id ?? 0,
      scratch.storage.id,
      gradient.storage.id,
      gradient.offset,
      outer,
      rows,
      cols,
      hyper,
    ),
    "ax_adafactor_step",
    device.library,
  );
  scratch.dispose();
}
