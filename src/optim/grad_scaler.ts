/**
 * Loss scaling for float16, as `torch.amp.GradScaler`.
 *
 * @module
 */
import { UNARY } from "../../ffi/op_ids.ts";
import { AutogradError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { changeInPlace, countChange, normOf, rangesOf } from "../nn/utils/gradient_ranges.ts";
import type { Tensor } from "../tensor.ts";
import { tidy } from "../tidy.ts";

/** Options of {@link GradScaler}. */
export interface GradScalerOptions {
  /** Factor of the first losses. Default 65536. */
  initScale?: number;
  /** Factor of the scale after `growthInterval` steps without infinities. Default 2. */
  growthFactor?: number;
  /** Factor of the scale after a step with infinities. Default 0.5. */
  backoffFactor?: number;
  /** Default 2000. */
  growthInterval?: number;
  /** False: everything passes through unchanged. Default true. */
  enabled?: boolean;
}

/** What a checkpoint holds of a scaler, with PyTorch's keys. */
export interface GradScalerState {
  /** The factor of the next loss. */
  scale: number;
  /** Factor of the scale after `growth_interval` steps without infinities. */
  growth_factor: number;
  /** Factor of the scale after a step with infinities. */
  backoff_factor: number;
  /** How many steps without infinities make the scale grow. */
  growth_interval: number;
  /** How many of them there were since it changed. */
  _growth_tracker: number;
}

/** What a scaler needs of an optimizer: any of `optim` has it. */
export interface ScaledOptimizer {
  /** The parameters whose gradients are divided. */
  readonly paramGroups: readonly { readonly params: readonly Tensor[] }[];
  /** Changes the parameters. */
  step(): void;
}

interface OptimizerState {
  isUnscaled: boolean;
  foundInfinity: boolean;
  hasStepped: boolean;
}

/**
 * Multiplies losses so that small gradients do not vanish in float16, divides gradients before the step, leaves a step out whose gradients are
 * infinite or NaN, and adapts the factor. Source: torch.amp.GradScaler; Micikevicius et al., Mixed Precision Training, 2018.
 *
 * @example
 * ```ts
 * import { autocast, GradScaler, nn, ones, optim } from "../../mod.ts";
 * const model = new nn.Linear(4, 1);
 * const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
 * const scaler = new GradScaler();
 * const loss = autocast(() => model.forward(ones([2, 4])).square().mean(), { dtype: "float16" });
 * scaler.scale(loss).backward();
 * scaler.step(optimizer);
 * scaler.update();
 * ```
 */
export class GradScaler {
  /** Whether it does anything. */
  readonly enabled: boolean;
  #scale: number;
  #growthFactor: number;
  #backoffFactor: number;
  #growthInterval: number;
  #growthTracker = 0;
  #states = new Map<ScaledOptimizer, OptimizerState>();

  /**
   * Starts with the factor `initScale`, which {@link update} adapts.
   *
   * @param options See {@link GradScalerOptions}.
   * @throws {RangeError} When a factor is on the wrong side of 1, or the interval is not a positive integer.
   */
  constructor(
    { initScale = 65536, growthFactor = 2, backoffFactor = 0.5, growthInterval = 2000, enabled = true }:
      GradScalerOptions = {},
  ) {
    if (!(initScale > 0)) throw new RangeError(`Cannot scale by ${initScale}: initScale must be above 0`);
    if (!(growthFactor > 1)) throw new RangeError(`Cannot grow by ${growthFactor}: growthFactor must be above 1`);
    if (!(backoffFactor > 0 && backoffFactor < 1)) {
      throw new RangeError(`Cannot back off by ${backoffFactor}: backoffFactor must be between 0 and 1`);
    }
    if (!Number.isSafeInteger(growthInterval) || growthInterval < 1) {
      throw new RangeError(`Cannot grow every ${growthInterval} steps: growthInterval must be a positive integer`);
    }
    this.enabled = enabled;
    this.#scale = initScale;
    this.#growthFactor = growthFactor;
    this.#backoffFactor = backoffFactor;
    this.#growthInterval = growthInterval;
  }

  /** The factor now; 1 when disabled. */
  getScale(): number {
    return this.enabled ? this.#scale : 1;
  }

  /** The loss times the factor. */
  scale(loss: Tensor): Tensor {
    return this.enabled ? loss.mul(this.#scale) : loss;
  }

  #stateOf(optimizer: ScaledOptimizer): OptimizerState {
    let state = this.#states.get(optimizer);
    if (state === undefined) {
      this.#states.set(optimizer, state = { isUnscaled: false, foundInfinity: false, hasStepped: false });
    }
    return state;
  }

  /**
   * Divides the gradients of an optimizer's parameters, so that they can be clipped before {@link step}. Once between two updates.
   *
   * @throws {AutogradError} When it was called since the last update.
   */
  unscale(optimizer: ScaledOptimizer): void {
    if (!this.enabled) return;
    const state = this.#stateOf(optimizer);
    if (state.hasStepped) throw new AutogradError("Cannot unscale gradients after step(): call update() first");
    if (state.isUnscaled) throw new AutogradError("Cannot unscale gradients twice: call update() after each step");
    const parameters = optimizer.paramGroups.flatMap(({ params }) => params);
    const ranges = rangesOf(parameters);
    noGrad(() =>
      tidy(() => {
        state.foundInfinity = ranges.length > 0 && !Number.isFinite(normOf(ranges, Infinity));
        for (const range of ranges) changeInPlace(range, UNARY.mul_scalar, 1 / this.#scale, 0);
      })
    );
    countChange(parameters, "GradScaler.unscale()");
    state.isUnscaled = true;
  }

  /**
   * Unscales if that was not done, and lets the optimizer step unless a gradient is infinite or NaN.
   *
   * @returns Whether it stepped.
   * @throws {AutogradError} When it is called twice without an update.
   */
  step(optimizer: ScaledOptimizer): boolean {
    if (!this.enabled) {
      optimizer.step();
      return true;
    }
    const state = this.#stateOf(optimizer);
    if (state.hasStepped) throw new AutogradError("Cannot step twice: call update() after each step");
    if (!state.isUnscaled) this.unscale(optimizer);
    state.hasStepped = true;
    if (state.foundInfinity) return false;
    optimizer.step();
    return true;
  }

  /**
   * Adapts the factor to what the steps since the last update found.
   *
   * @param newScale Sets it instead.
   * @throws {AutogradError} When no gradient was unscaled since the last update.
   */
  update(newScale?: number): void {
    if (!this.enabled) return;
    if (newScale !== undefined) {
      if (!(newScale > 0)) throw new RangeError(`Cannot scale by ${newScale}: it must be above 0`);
      this.#scale = newScale;
    } else {
      if (this.#states.size === 0) throw new AutogradError("Cannot update the scale: no step() came before");
      if ([...this.#states.values()].some(({ foundInfinity }) => foundInfinity)) {
        this.#scale *= this.#backoffFactor;
        this.#growthTracker = 0;
      } else if (++this.#growthTracker === this.#growthInterval) {
        // Beyond the range of float32 the loss itself would be infinite.
        const grown = Math.fround(this.#scale * this.#growthFactor);
        if (Number.isFinite(grown)) this.#scale = grown;
        this.#growthTracker = 0;
      }
    }
    this.#states.clear();
  }

  /** What a checkpoint holds; empty when disabled, as PyTorch's. */
  stateDict(): GradScalerState | Record<string, never> {
    if (!this.enabled) return {};
    return {
      scale: this.#scale,
      growth_factor: this.#growthFactor,
      backoff_factor: this.#backoffFactor,
      growth_interval: this.#growthInterval,
      _growth_tracker: this.#growthTracker,
    };
  }

  /**
   * Takes over a state of {@link stateDict}, or PyTorch's.
   *
   * @throws {RangeError} When a value is missing or not a number; then nothing was changed.
   */
  loadStateDict(state: GradScalerState): void {
    if (!this.enabled) return;
    for (const name of ["scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"] as const) {
      if (!Number.isFinite(state[name])) {
        throw new RangeError(`Cannot load the state of a GradScaler: ${name} must be a number, got ${state[name]}`);
      }
    }
    this.#scale = state.scale;
    this.#growthFactor = state.growth_factor;
    this.#backoffFactor = state.backoff_factor;
    this.#growthInterval = state.growth_interval;
    this.#growthTracker = state._growth_tracker;
  }
}
