/**
 * Muon (Jordan and others, 2024, https://kellerjordan.github.io/posts/muon/), as `torch.optim.Muon`.
 *
 * @module
 */
import { ShapeError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { tidy } from "../tidy.ts";
import { checkNotNegative, Optimizer, type ParameterGroup, type Run } from "./optimizer.ts";

/** Settings of Muon. */
export interface MuonSettings {
  /** Learning rate. Default 1e-3. */
  lr: number;
  /** The weights shrink by lr * weightDecay. Default 0.1. */
  weightDecay: number;
  /** Share of the old momentum. Default 0.95. */
  momentum: number;
  /** Look ahead along the momentum. Default true. */
  nesterov: boolean;
  /** Coefficients of the Newton-Schulz polynomial. Default [3.4445, -4.775, 2.0315]. */
  nsCoefficients: readonly [number, number, number];
  /** Least norm that a direction is divided by. Default 1e-7. */
  eps: number;
  /** Newton-Schulz iterations, fewer than 100. Default 5. */
  nsSteps: number;
  /**
   * How lr follows from the shape (rows, cols): `original` (also null) times sqrt(max(1, rows / cols)), `match_rms_adamw` times
   * 0.2 sqrt(max(rows, cols)). Default null.
   */
  adjustLrFn: "original" | "match_rms_adamw" | null;
}

/**
 * Momentum whose direction is made nearly orthogonal, for the matrices of hidden layers. Train other parameters (biases, embeddings,
 * norms) with AdamW beside it. The iteration runs in bfloat16, as in PyTorch.
 *
 * @example
 * ```ts
 * import { nn, optim } from "../../mod.ts";
 * const parameters = new nn.Sequential(new nn.Linear(8, 8), new nn.ReLU(), new nn.Linear(8, 2)).parameters();
 * const muon = new optim.Muon(parameters.filter(({ shape }) => shape.length === 2), { lr: 0.02 });
 * const adamw = new optim.AdamW(parameters.filter(({ shape }) => shape.length !== 2), { lr: 3e-4 });
 * for (const optimizer of [muon, adamw]) optimizer.step();
 * ```
 */
export class Muon extends Optimizer<MuonSettings> {
  /**
   * @param parameters Matrices, or groups of them.
   * @param options Settings, with PyTorch's defaults.
   * @throws {ShapeError} When a parameter has not two dimensions.
   */
  constructor(
    parameters: Iterable<Tensor> | Iterable<ParameterGroup<MuonSettings>>,
    options: Partial<MuonSettings> = {},
  ) {
    super(parameters, {
      lr: 1e-3,
      weightDecay: 0.1,
      momentum: 0.95,
      nesterov: true,
      nsCoefficients: [3.4445, -4.775, 2.0315],
      eps: 1e-7,
      nsSteps: 5,
      adjustLrFn: null,
      ...options,
    });
  }

  protected override checkSettings(settings: MuonSettings): void {
    checkNotNegative(settings, "lr", "weightDecay", "momentum");
    const { nsSteps, nsCoefficients, adjustLrFn } = settings;
    if (!Number.isInteger(nsSteps) || nsSteps < 0 || nsSteps >= 100) {
      throw new RangeError(`Cannot use nsSteps ${nsSteps}: it must be an integer in [0, 100)`);
    }
    if (nsCoefficients.length !== 3) throw new RangeError("Cannot use nsCoefficients: give exactly three numbers");
    if (adjustLrFn !== null && adjustLrFn !== "original" && adjustLrFn !== "match_rms_adamw") {
      throw new RangeError(`Cannot use adjustLrFn "${adjustLrFn}": choose "original" or "match_rms_adamw"`);
    }
  }

  protected override checkParameter({ shape }: Tensor): void {
    if (shape.length === 2) return;
    throw new ShapeError(
      `Cannot train a parameter of ${formatShape(shape)} with Muon: it must be a matrix. Give the others to AdamW`,
    );
  }

  protected override get isElementwise(): boolean {
    return false;
  }

  protected override stateNames(): readonly string[] {
    return ["momentum_buffer"];
  }

  protected override stepRun({ parameter, gradient, buffers }: Run, settings: MuonSettings): void {
    const { lr, weightDecay, momentum, nesterov } = settings;
    const [rows, cols] = parameter.shape;
    noGrad(() =>
      tidy(() => {
        const buffer = buffers.momentum_buffer.view(parameter.shape);
        const slope = widened(gradient);
        buffer.copy_(interpolate(widened(buffer), slope, 1 - momentum));
        const average = widened(buffer);
        const direction = orthogonalize(nesterov ? interpolate(slope, average, momentum) : average, settings);
        const ratio = settings.adjustLrFn === "match_rms_adamw"
          ? 0.2 * Math.sqrt(Math.max(rows, cols))
          : Math.sqrt(Math.max(1, rows / cols));
        const kept = widened(parameter).mul(1 - lr * weightDecay);
        parameter.copy_(kept.add(direction.to({ dtype: kept.dtype }), { alpha: -lr * ratio }));
      })
    );
  }
}

/** 16-bit values are computed in float32. */
function widened(x: Tensor): Tensor {
  return x.dtype === "bfloat16" || x.dtype === "float16" ? x.to({ dtype: "float32" }) : x;
}

/** a + weight * (b - a), exact at both ends as PyTorch's lerp. */
function interpolate(a: Tensor, b: Tensor, weight: number): Tensor {
  const difference = b.sub(a);
  return weight < 0.5 ? a.add(difference, { alpha: weight }) : b.sub(difference, { alpha: 1 - weight });
}

/** Rounds to bfloat16 and widens again: products are summed in float32. */
function rounded(x: Tensor): Tensor {
  return x.to({ dtype: "bfloat16" }).to({ dtype: "float32" });
}

/** Singular values near 1, by a quintic Newton-Schulz iteration on the smaller Gram matrix. */
function orthogonalize(update: Tensor, { nsCoefficients: [a, b, c], nsSteps, eps }: MuonSettings): Tensor {
  const isTall = update.shape[0] > update.shape[1];
  let x = rounded(update);
  x = rounded(x.div(rounded(rounded(x.square().sum().sqrt()).clamp({ min: eps }))));
  for (let step = 0; step < nsSteps; step++) {
    const transposed = x.transpose(0, 1);
    const gram = rounded(isTall ? transposed.matmul(x) : x.matmul(transposed));
    const polynomial = rounded(gram.mul(b).add(gram.matmul(gram), { alpha: c }));
    x = rounded(x.mul(a).add(isTall ? x.matmul(polynomial) : polynomial.matmul(x)));
  }
  return x;
}
