/**
 * Optimizers that treat every element alike: an id of accelerate.h, the states in its order, and its numbers.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { dtypeId } from "../core/dtype.ts";
import { recording } from "../core/recording.ts";
import { Optimizer, type Run } from "./optimizer.ts";

/** Settings that all elementwise optimizers have. */
export interface ElementwiseSettings {
  lr: number;
  weightDecay: number;
  maximize: boolean;
}

const hyper = new Float64Array(AX.OPTIMIZER_NUMBERS);

/** What AX_OPTIMIZER_* needs beside learning rate, weight decay and sign. */
export interface StepNumbers {
  /** The numbers of accelerate.h from index 3 on. */
  readonly numbers: readonly number[];
  /** Learning rate of this step, where it is not the group's. */
  readonly lr?: number;
  /** AX_STEP_* flags. */
  readonly flags?: number;
}

/** Base of the elementwise optimizers. */
export abstract class ElementwiseOptimizer<Settings extends ElementwiseSettings> extends Optimizer<Settings> {
  /** Id in accelerate.h. */
  protected abstract readonly id: number;
  /** Names of all states that it can have, in the order of accelerate.h. */
  protected abstract readonly states: readonly string[];

  /** The numbers of one step. */
  protected abstract numbersOf(run: Run, settings: Settings): StepNumbers;

  protected override get isRecordable(): boolean {
    return true;
  }

  /** Writes the numbers of one step, and returns its flags. */
  #write(target: Float64Array, run: Run, settings: Settings): number {
    const { numbers, lr = settings.lr, flags = 0 } = this.numbersOf(run, settings);
    target[0] = lr;
    target[1] = settings.weightDecay;
    target[2] = settings.maximize ? -1 : 1;
    for (let i = 0; i < numbers.length; i++) target[3 + i] = numbers[i];
    return flags;
  }

  protected override stepRun(run: Run, settings: Settings): void {
    const { parameter, gradient, buffers } = run;
    const flags = this.#write(hyper, run, settings);
    recording?.liveNumbers(hyper.length, (target) => this.#write(target, run, settings));
    const used = this.stateNames(settings, parameter);
    const state = (k: number): number => used.includes(this.states[k]) ? buffers[this.states[k]].storage.id : 0;
    const library = parameter.storage.device.library;
    check(
      library.ax_optimizer_step(
        this.id,
        dtypeId(parameter.dtype),
        parameter.storage.id,
        parameter.offset,
        state(0),
        state(1),
        state(2),
        run.stateOffset,
        gradient.storage.id,
        gradient.offset,
        run.count,
        hyper,
        flags,
      ),
      "ax_optimizer_step",
      library,
    );
  }
}
