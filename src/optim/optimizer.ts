/**
 * What all optimizers share: parameter groups, flat state, and the merging of neighbours into one native call.
 *
 * @module
 */
import { viewOf } from "../core/op.ts";
import { withScope } from "../core/scope.ts";
import { CATEGORY } from "../core/storage.ts";
import { bump } from "../core/version.ts";
import { copyInto } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";
import { flatten, flatZeros, nextOffset } from "./flat.ts";

/** Parameters that share settings; a setting that is absent has the optimizer's default. */
export type ParameterGroup<Settings> = { params: Iterable<Tensor> } & Partial<Settings>;

/** A group as the optimizer keeps it. Settings may be changed between steps, as learning-rate schedules do. */
export type OptimizerGroup<Settings> = { readonly params: readonly Tensor[] } & Settings;

/** Neighbouring parameters with a gradient and the same number of steps. */
export interface Run {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  /** The state buffers, and where the run begins in them. */
  readonly buffers: Readonly<Record<string, Tensor>>;
  readonly stateOffset: number;
  /** Steps so far, this one included. */
  readonly step: number;
  count: number;
}

interface Slot {
  readonly buffers: Record<string, Tensor>;
  readonly offset: number;
  step: number;
}

/** PyTorch's layout of an optimizer's state: parameters are numbered through all groups. */
export interface OptimizerStateDict {
  state: Record<number, { step: number } & Record<string, Tensor | number>>;
  paramGroups: (Record<string, unknown> & { params: number[] })[];
}

/** Base of the optimizers. */
export abstract class Optimizer<Settings extends object> {
  /** The groups; change a setting here, for example `optimizer.paramGroups[0].lr = 1e-4`. */
  readonly paramGroups: OptimizerGroup<Settings>[];
  readonly #slots = new Map<Tensor, Slot>();
  /** @internal Called before each step; throws when the gradients must not be used. */
  beforeStep: (() => void) | null = null;
  /** @internal Called after gradients were forgotten. */
  afterZeroGrad: (() => void) | null = null;

  /**
   * @param parameters Parameters, or groups of them with settings of their own.
   * @param defaults Settings of groups that do not give them.
   * @throws {RangeError} When there is no parameter, or one is listed twice.
   */
  constructor(parameters: Iterable<Tensor> | Iterable<ParameterGroup<Settings>>, defaults: Settings) {
    const list = [...parameters as Iterable<Tensor | ParameterGroup<Settings>>];
    const groups = list.length > 0 && "params" in list[0]
      ? list as ParameterGroup<Settings>[]
      : [{ params: list as Tensor[] } as unknown as ParameterGroup<Settings>];
    this.paramGroups = groups.map((group) => ({ ...defaults, ...group, params: [...group.params] }));
    const all = this.paramGroups.flatMap(({ params }) => params);
    if (all.length === 0) throw new RangeError("Cannot optimize: the list of parameters is empty");
    if (new Set(all).size !== all.length) throw new RangeError("Cannot optimize: a parameter is listed twice");
    for (const group of this.paramGroups) this.checkSettings(group);
    flatten(all);
  }

  /** Throws a RangeError for a setting outside its range. */
  protected abstract checkSettings(settings: Settings): void;

  /** Names of the state buffers that a group needs, in PyTorch's spelling. */
  protected abstract stateNames(settings: Settings): readonly string[];

  /** Changes the parameters of a run. */
  protected abstract stepRun(run: Run, settings: Settings): void;

  /** Forgets all gradients. Their flat memory stays and is overwritten by the next backward. */
  zeroGrad(): void {
    for (const { params } of this.paramGroups) {
      for (const parameter of params) {
        if (parameter.grad !== null && parameter.grad !== parameter.gradSlot) parameter.grad.dispose();
        parameter.grad = null;
      }
    }
    this.afterZeroGrad?.();
  }

  /** Changes every parameter that has a gradient; one without is left alone, its state too, as in PyTorch. */
  step(): void {
    this.beforeStep?.();
    for (const group of this.paramGroups) {
      let run: Run | null = null;
      for (const parameter of group.params) {
        const gradient = parameter.grad;
        if (gradient === null) continue;
        const slot = this.#slots.get(parameter) ?? this.#createSlots(group, parameter);
        slot.step++;
        bump(parameter.storage, "an optimizer's step()");
        if (run !== null && continues(run, parameter, gradient, slot)) {
          run.count = slot.offset - run.stateOffset + parameter.size;
          continue;
        }
        if (run !== null) this.stepRun(run, group);
        run = {
          parameter,
          gradient,
          buffers: slot.buffers,
          stateOffset: slot.offset,
          step: slot.step,
          count: parameter.size,
        };
      }
      if (run !== null) this.stepRun(run, group);
    }
  }

  /** State for all of a group's parameters that have none, in buffers by dtype. */
  #createSlots(group: OptimizerGroup<Settings>, wanted: Tensor): Slot {
    const { dtype, device } = wanted;
    const members = group.params.filter((p) => !this.#slots.has(p) && p.dtype === dtype && p.device === device);
    let total = 0;
    const offsets = members.map((parameter) => {
      const offset = total;
      total = nextOffset(total, parameter.size);
      return offset;
    });
    const buffers: Record<string, Tensor> = {};
    for (const name of this.stateNames(group)) buffers[name] = flatZeros(wanted, total, CATEGORY.optimizer);
    members.forEach((parameter, i) => this.#slots.set(parameter, { buffers, offset: offsets[i], step: 0 }));
    return this.#slots.get(wanted)!;
  }

  #stateView(parameter: Tensor, slot: Slot, name: string): Tensor {
    return withScope(
      undefined,
      () => viewOf(slot.buffers[name], parameter.shape, parameter.strides, slot.offset, "stateDict"),
    );
  }

  /** State and settings; the tensors are views of the live state. */
  stateDict(): OptimizerStateDict {
    const state: OptimizerStateDict["state"] = {};
    let index = 0;
    const paramGroups = this.paramGroups.map(({ params, ...settings }) => {
      const numbers = params.map((parameter) => {
        const slot = this.#slots.get(parameter);
        if (slot !== undefined && slot.step > 0) {
          state[index] = { step: slot.step };
          for (const name of Object.keys(slot.buffers)) state[index][name] = this.#stateView(parameter, slot, name);
        }
        return index++;
      });
      return { ...settings, params: numbers };
    });
    return { state, paramGroups };
  }

  /**
   * Takes over state and settings that `stateDict` returned.
   *
   * @throws {RangeError} When groups or parameters do not correspond.
   */
  loadStateDict(dict: OptimizerStateDict): void {
    const counts = this.paramGroups.map(({ params }) => params.length);
    const given = dict.paramGroups.map(({ params }) => params.length);
    if (counts.join() !== given.join()) {
      throw new RangeError(
        `Cannot load the state of an optimizer with groups of [${given}] parameters into [${counts}]`,
      );
    }
    this.paramGroups.forEach((group, g) => {
      const { params: numbers, ...settings } = dict.paramGroups[g];
      Object.assign(group, settings);
      group.params.forEach((parameter, i) => {
        const saved = dict.state[numbers[i]];
        if (saved === undefined) return;
        const slot = this.#slots.get(parameter) ?? this.#createSlots(group, parameter);
        slot.step = Number(saved.step);
        for (const name of Object.keys(slot.buffers)) {
          const value = saved[name];
          if (typeof value !== "object" || value.size !== parameter.size) {
            throw new RangeError(
              `Cannot load optimizer state: ${name} of parameter ${numbers[i]} is missing or has another size`,
            );
          }
          copyInto(this.#stateView(parameter, slot, name), value);
        }
      });
    });
  }
}

function continues(run: Run, parameter: Tensor, gradient: Tensor, slot: Slot): boolean {
  const distance = slot.offset - run.stateOffset;
  return slot.buffers === run.buffers && slot.step === run.step &&
    distance === nextOffset(0, run.count) &&
    parameter.storage.id === run.parameter.storage.id && parameter.offset === run.parameter.offset + distance &&
    gradient.storage.id === run.gradient.storage.id && gradient.offset === run.gradient.offset + distance;
}
