/**
 * What all optimizers share: parameter groups, flat state, and the merging of neighbours into one native call.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import { viewOf } from "../core/op.ts";
import { recording, refuseRecording } from "../core/recording.ts";
import { withScope } from "../core/scope.ts";
import { contiguousStrides, type Shape, sizeOf } from "../core/shape.ts";
import { CATEGORY } from "../core/storage.ts";
import { bump } from "../core/version.ts";
import { copyInto, fillInto } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";
import { flatten, flatZeros, moveFlat, nextOffset } from "./flat.ts";
import type { OptimizerGuard } from "./guard.ts";
import { MASTER, updateMaster } from "./master.ts";
import { recordStep } from "./recorded_step.ts";
import { continues, type Run, type Slot, type StateNumbers, usable } from "./run.ts";

export type { OptimizerGuard } from "./guard.ts";
export type { Run, StateNumbers } from "./run.ts";
export { checkNotNegative } from "./settings.ts";

/** Parameters that share settings; a setting that is absent has the optimizer's default. */
export type ParameterGroup<Settings> = { params: Iterable<Tensor> } & Partial<Settings>;

/** A group as the optimizer keeps it. Settings may be changed between steps, as learning-rate schedules do. */
export type OptimizerGroup<Settings> = { readonly params: readonly Tensor[] } & Settings;

/** PyTorch's layout of an optimizer's state: parameters are numbered through all groups. */
export interface OptimizerStateDict {
  state: Record<number, { step: number } & Record<string, Tensor | number>>;
  paramGroups: (Record<string, unknown> & { params: number[] })[];
}

/** Base of the optimizers. */
export abstract class Optimizer<Settings extends object> {
  /** The groups; change a setting here, for example `optimizer.paramGroups[0].lr = 1e-4`. */
  readonly paramGroups: OptimizerGroup<Settings>[] = [];
  /** Settings of groups that do not give them. */
  readonly defaults: Readonly<Settings>;
  readonly #slots = new Map<Tensor, Slot>();
  /** Which states the slots of a group have: settings may be changed so that it needs others. */
  readonly #stateNames = new WeakMap<OptimizerGroup<Settings>, readonly string[]>();
  /** @internal Asked before each step; set by the Accelerator. */
  guard: OptimizerGuard | null = null;

  /**
   * @param parameters Parameters, or groups of them with settings of their own.
   * @param defaults Settings of groups that do not give them.
   * @throws {RangeError} When there is no parameter, one is listed twice, or a setting is outside its range.
   */
  constructor(parameters: Iterable<Tensor> | Iterable<ParameterGroup<Settings>>, defaults: Settings) {
    this.defaults = defaults;
    const list = [...parameters as Iterable<Tensor | ParameterGroup<Settings>>];
    const groups = list.length > 0 && "params" in list[0]
      ? list as ParameterGroup<Settings>[]
      : [{ params: list as Tensor[] } as unknown as ParameterGroup<Settings>];
    this.#append(groups);
  }

  #append(added: readonly ParameterGroup<Settings>[]): void {
    const groups = added.map((group) => ({ ...this.defaults, ...group, params: [...group.params] }));
    const fresh = groups.flatMap(({ params }) => params);
    const all = [...this.paramGroups.flatMap(({ params }) => params), ...fresh];
    if (fresh.length === 0) throw new RangeError("Cannot optimize: the list of parameters is empty");
    if (new Set(all).size !== all.length) throw new RangeError("Cannot optimize: a parameter is listed twice");
    for (const group of groups) {
      this.checkSettings(group);
      for (const parameter of group.params) this.checkParameter(parameter);
    }
    flatten(fresh);
    this.paramGroups.push(...groups);
  }

  /**
   * Adds a group, for example layers that are trained from now on.
   *
   * @param group Parameters that are in no group yet, and settings that differ from the defaults.
   * @throws {RangeError} When it is empty, a parameter is in a group already, or a setting is outside its range.
   *
   * @example
   * ```ts
   * import { nn, optim } from "../../mod.ts";
   * const [head, body] = [new nn.Linear(4, 2), new nn.Linear(3, 4)];
   * const optimizer = new optim.AdamW(head.parameters(), { lr: 1e-3 });
   * optimizer.addParamGroup({ params: body.parameters(), lr: 1e-4 });
   * ```
   */
  addParamGroup(group: ParameterGroup<Settings>): void {
    this.#append([group]);
  }

  /** Throws a RangeError for a setting outside its range. */
  protected abstract checkSettings(settings: Settings): void;

  /** Throws when the optimizer cannot train a parameter. */
  protected checkParameter(_parameter: Tensor): void {}

  /** Names of the state tensors of a parameter, in PyTorch's spelling. */
  protected abstract stateNames(settings: Settings, parameter: Tensor): readonly string[];

  /** Shape of a state tensor; only an optimizer that is not elementwise has others than the parameter's. */
  protected stateShape(_name: string, parameter: Tensor): Shape {
    return parameter.shape;
  }

  /** Whether the parameter's steps are taken on a float32 copy, with states of float32. */
  protected keepsMaster(_settings: Settings, _parameter: Tensor): boolean {
    return false;
  }

  /** What fills new state tensors. */
  protected initialState(_settings: Settings): number {
    return 0;
  }

  /** The numbers of a parameter before its first step. */
  protected initialNumbers(): StateNumbers {
    return { step: 0 };
  }

  /** Brings a parameter's numbers to the next step. */
  protected advance(numbers: StateNumbers, _settings: Settings): void {
    numbers.step++;
  }

  /** Whether neighbouring parameters may be changed as if they were one. */
  protected get isElementwise(): boolean {
    return true;
  }

  /** Whether all that a step does with numbers of the host is told to the recording of a captured step. */
  protected get isRecordable(): boolean {
    return false;
  }

  /** Changes the parameters of a run. */
  protected abstract stepRun(run: Run, settings: Settings): void;

  /**
   * Forgets all gradients. Their flat memory stays and is overwritten by the next backward. Prepared by an Accelerator, it keeps those
   * that are being accumulated.
   */
  zeroGrad(): void {
    if (this.guard !== null && !this.guard.allowsZeroGrad()) return;
    for (const { params } of this.paramGroups) {
      for (const parameter of params) {
        if (parameter.grad !== null && parameter.grad !== parameter.gradSlot) parameter.grad.dispose();
        parameter.grad = null;
      }
    }
    this.guard?.forgotten();
  }

  /**
   * Changes every parameter that has a gradient; one without is left alone, its state too, as in PyTorch. Prepared by an Accelerator,
   * it does nothing while gradients are being accumulated.
   *
   * @throws {ShapeError} When a gradient has not its parameter's shape.
   * @throws {DTypeError} When a gradient has not its parameter's dtype.
   */
  step(): void {
    if (this.guard !== null && !this.guard.allowsStep()) return;
    if (recording !== null) this.#record();
    for (const group of this.paramGroups) {
      this.#completeStates(group);
      let run: Run | null = null;
      for (const parameter of group.params) {
        if (parameter.grad === null) continue;
        const gradient = usable(parameter.grad, parameter);
        const slot = this.#slots.get(parameter) ?? this.#createSlots(group, parameter);
        this.#followParameter(parameter, slot);
        bump(parameter.storage, "an optimizer's step()");
        slot.masteredAt = parameter.storage.changedAt;
        this.advance(slot.numbers, group);
        if (run !== null && this.isElementwise && continues(run, parameter, gradient, slot)) {
          run.count = slot.offset - run.stateOffset + parameter.size;
        } else {
          if (run !== null) this.stepRun(run, group);
          run = {
            parameter,
            gradient,
            buffers: slot.buffers,
            stateOffset: slot.offset,
            numbers: slot.numbers,
            isFirst: slot.isFirst,
            count: parameter.size,
          };
        }
        slot.isFirst = false;
      }
      if (run !== null) this.stepRun(run, group);
    }
  }

  /** Takes into the master what something else than this optimizer has written into the parameter. */
  #followParameter(parameter: Tensor, slot: Slot): void {
    if (parameter.storage.changedAt === slot.masteredAt || !(MASTER in slot.buffers)) return;
    updateMaster(this.#stateView(parameter, slot, MASTER), parameter);
  }

  /** Tells the recording of a captured step what this one does on the host. */
  #record(): void {
    const { name } = this.constructor;
    if (!this.isRecordable) refuseRecording(`${name}.step()`, "its learning rate would not change any more");
    for (const group of this.paramGroups) {
      for (const parameter of group.params) {
        if (parameter.grad === null) continue;
        const slot = this.#slots.get(parameter);
        recordStep(recording!, name, slot, () => {
          this.#followParameter(parameter, slot!);
          bump(parameter.storage, "an optimizer's step()");
          slot!.masteredAt = parameter.storage.changedAt;
          this.advance(slot!.numbers, group);
        });
      }
    }
  }

  /** Moves the state, after the parameters have moved: see `moveFlat`. */
  moveState(device: Device): void {
    const moved = new Set<Tensor>();
    for (const { buffers } of this.#slots.values()) {
      for (const buffer of Object.values(buffers)) {
        if (moved.has(buffer)) continue;
        moved.add(buffer);
        moveFlat(buffer, device, CATEGORY.optimizer);
      }
    }
  }

  /** State for a parameter that has none. Elementwise optimizers get it for all of the group, in buffers by dtype. */
  #createSlots(group: OptimizerGroup<Settings>, wanted: Tensor): Slot {
    const { dtype, device } = wanted;
    const members = this.isElementwise
      ? group.params.filter((p) => !this.#slots.has(p) && p.dtype === dtype && p.device === device)
      : [wanted];
    const buffers: Record<string, Tensor> = {};
    let offset = 0;
    for (const parameter of members) {
      this.#slots.set(parameter, {
        buffers,
        offset,
        numbers: this.initialNumbers(),
        isFirst: true,
        masteredAt: parameter.storage.changedAt,
      });
      offset = nextOffset(offset, parameter.size);
    }
    if (this.keepsMaster(group, wanted)) {
      buffers[MASTER] = flatZeros(wanted, offset, CATEGORY.optimizer, "float32");
      for (const parameter of members) {
        copyInto(this.#stateView(parameter, this.#slots.get(parameter)!, MASTER), parameter);
      }
    }
    this.#addBuffers(buffers, offset, group, wanted);
    return this.#slots.get(wanted)!;
  }

  #addBuffers(buffers: Record<string, Tensor>, size: number, group: OptimizerGroup<Settings>, like: Tensor): void {
    for (const name of this.stateNames(group, like)) {
      if (name in buffers) continue;
      const length = this.isElementwise ? size : sizeOf(this.stateShape(name, like));
      buffers[name] = flatZeros(like, length, CATEGORY.optimizer, buffers[MASTER]?.dtype);
      const value = this.initialState(group);
      if (value !== 0) fillInto(buffers[name], value);
    }
  }

  /** Adds states that a changed setting needs, for example the momentum that a schedule has switched on. */
  #completeStates(group: OptimizerGroup<Settings>): void {
    const names = this.stateNames(group, group.params[0]);
    const known = this.#stateNames.get(group);
    // Most optimizers return one array each time.
    if (known === names || (known !== undefined && known.join() === names.join())) return;
    this.#stateNames.set(group, names);
    for (const parameter of group.params) {
      const slot = this.#slots.get(parameter);
      if (slot === undefined || this.stateNames(group, parameter).every((name) => name in slot.buffers)) continue;
      const sharing = group.params.filter((other) => this.#slots.get(other)?.buffers === slot.buffers);
      const last = sharing[sharing.length - 1];
      this.#addBuffers(slot.buffers, nextOffset(this.#slots.get(last)!.offset, last.size), group, parameter);
      for (const other of sharing) this.#slots.get(other)!.isFirst = true;
    }
  }

  /** Frees the state. The optimizer begins anew with its next step. */
  dispose(): void {
    for (const buffers of new Set(Array.from(this.#slots.values(), (slot) => slot.buffers))) {
      for (const buffer of Object.values(buffers)) buffer.dispose();
    }
    this.#slots.clear();
  }

  #stateView(parameter: Tensor, slot: Slot, name: string): Tensor {
    const shape = this.stateShape(name, parameter);
    return withScope(
      undefined,
      () => viewOf(slot.buffers[name], shape, contiguousStrides(shape), slot.offset, "stateDict"),
    );
  }

  /** State and settings; the tensors are views of the live state. */
  stateDict(): OptimizerStateDict {
    const state: OptimizerStateDict["state"] = {};
    let index = 0;
    const paramGroups = this.paramGroups.map(({ params, ...settings }) => {
      const numbers = params.map((parameter) => {
        const slot = this.#slots.get(parameter);
        if (slot !== undefined && slot.numbers.step > 0) {
          state[index] = { ...slot.numbers };
          for (const name of Object.keys(slot.buffers)) state[index][name] = this.#stateView(parameter, slot, name);
        }
        return index++;
      });
      return { ...settings, params: numbers };
    });
    return { state, paramGroups };
  }

  /**
   * @internal Throws what `loadStateDict` would throw, and changes nothing.
   *
   * @throws {RangeError} When groups, parameters or state tensors do not correspond.
   */
  checkStateDict(dict: OptimizerStateDict): void {
    const counts = this.paramGroups.map(({ params }) => params.length);
    const given = dict.paramGroups.map(({ params }) => params.length);
    if (counts.join() !== given.join()) {
      throw new RangeError(
        `Cannot load the state of an optimizer with groups of [${given}] parameters into [${counts}]`,
      );
    }
    this.paramGroups.forEach((group, g) => {
      const { params: indices, ...settings } = dict.paramGroups[g];
      const next = { ...group, ...settings } as OptimizerGroup<Settings>;
      this.checkSettings(next);
      group.params.forEach((parameter, i) => {
        const saved = dict.state[indices[i]];
        if (saved === undefined) return;
        for (const name of Object.keys(this.initialNumbers())) {
          if (typeof saved[name] === "number") continue;
          throw new RangeError(`Cannot load optimizer state: ${name} of parameter ${indices[i]} is missing`);
        }
        // A master may be missing: it stays the parameter.
        const names = MASTER in saved
          ? [...this.stateNames(next, parameter), MASTER]
          : this.stateNames(next, parameter);
        for (const name of names) {
          const value = saved[name];
          const size = name === MASTER ? parameter.size : sizeOf(this.stateShape(name, parameter));
          if (typeof value === "object" && value.size === size) continue;
          throw new RangeError(
            `Cannot load optimizer state: ${name} of parameter ${indices[i]} is missing or has another size`,
          );
        }
      });
    });
  }

  /**
   * Takes over state and settings that `stateDict` returned. A parameter that has no state there has none afterwards.
   *
   * @throws {RangeError} When groups, parameters or state tensors do not correspond; then nothing was changed.
   */
  loadStateDict(dict: OptimizerStateDict): void {
    this.checkStateDict(dict);
    this.paramGroups.forEach((group, g) => {
      const { params: indices, ...settings } = dict.paramGroups[g];
      Object.assign(group, settings);
      this.#completeStates(group);
      group.params.forEach((parameter, i) => {
        const saved = dict.state[indices[i]];
        if (saved === undefined) return this.#clearState(parameter, group);
        const slot = this.#slots.get(parameter) ?? this.#createSlots(group, parameter);
        for (const name of Object.keys(slot.numbers)) slot.numbers[name] = Number(saved[name]);
        slot.isFirst = false;
        slot.masteredAt = -1; // what was loaded may be older or newer than the parameter
        for (const name of Object.keys(slot.buffers)) {
          const value = saved[name];
          if (typeof value === "object") copyInto(this.#stateView(parameter, slot, name), value);
        }
      });
    });
  }

  #clearState(parameter: Tensor, group: OptimizerGroup<Settings>): void {
    const slot = this.#slots.get(parameter);
    if (slot === undefined) return;
    Object.assign(slot.numbers, this.initialNumbers());
    slot.isFirst = true;
    for (const name of Object.keys(slot.buffers)) {
      fillInto(this.#stateView(parameter, slot, name), this.initialState(group));
    }
  }
}
