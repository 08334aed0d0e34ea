/**
 * Training steps that are recorded once and then replayed: on a GPU as a CUDA graph, which costs the host one call instead of one for each
 * operation.
 *
 * @module
 */
import { check } from "../../ffi/call.ts";
import type { Device } from "../core/device.ts";
import { CaptureError } from "../core/errors.ts";
import { empty, noGrad, viewOf } from "../core/op.ts";
import { getRandomState, skipRandom } from "../core/random.ts";
import { Recording, withRecording } from "../core/recording.ts";
import { withOwnScalars } from "../core/scalar_slab.ts";
import { endScope, enterScope, forEachTensor, withScope } from "../core/scope.ts";
import { CATEGORY, flushReleases } from "../core/storage.ts";
import { readBytes, writeBytes } from "../ops/copy.ts";
import { copied, copyInto } from "../ops/launch.ts";
import type { Module } from "../nn/module.ts";
import type { FlatBuffer } from "../optim/flat.ts";
import { Tensor } from "../tensor.ts";

/** A step that {@link capture} made. */
export interface CapturedStep<Inputs extends unknown[], Result> extends Disposable {
  (...inputs: Inputs): Result;
  /** Frees the graphs and the memory that they keep. A later call records anew. */
  dispose(): void;
}

/** Options of `Accelerator.capture`. */
export interface CaptureOptions {
  /** How many graphs there may be: one for each combination of shapes. Default 8. */
  maxGraphs?: number;
}

/** What is prepared: its state decides, beside the inputs, what the step does. */
export interface Prepared {
  readonly modules: Iterable<Module>;
  readonly buffers: Iterable<FlatBuffer>;
}

const isTensor = (value: object): boolean => value instanceof Tensor;

/** Tensors by their dtype and shape, plain values as they are: what a graph depends on. */
function describe(value: unknown): string {
  if (value instanceof Tensor) return `${value.dtype}[${value.shape}]`;
  if (Array.isArray(value)) return `(${value.map(describe).join()})`;
  if (typeof value === "object" && value !== null) {
    if (Object.getPrototypeOf(value) !== Object.prototype) {
      throw new CaptureError(
        `Cannot capture a step that takes a ${
          value.constructor?.name ?? "value"
        }: only tensors, plain values, and arrays and objects of them`,
      );
    }
    return `{${Object.entries(value).map(([name, item]) => `${name}:${describe(item)}`).join()}}`;
  }
  return `${typeof value} ${String(value)}`;
}

/** The same structure with every tensor replaced; everything else stays. */
function replaced(value: unknown, replace: (tensor: Tensor) => Tensor): unknown {
  if (value instanceof Tensor) return replace(value);
  if (Array.isArray(value)) return value.map((item) => replaced(item, replace));
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, replaced(item, replace)]));
  }
  return value;
}

function tensorsIn(value: unknown): Tensor[] {
  const found: Tensor[] = [];
  forEachTensor(value, isTensor, (tensor) => found.push(tensor));
  return found;
}

/** Equal texts for states in which the same operations follow: training or evaluation, and which gradients are added to. */
function describeState({ modules, buffers }: Prepared): string {
  let key = "";
  for (const { training } of modules) key += training ? "t" : "e";
  for (const { parameters } of buffers) {
    let gradients = 0;
    for (const { grad } of parameters) if (grad !== null) gradients++;
    key += ` ${gradients}`;
  }
  return key;
}

const idBuffer = new Uint32Array(1);

/** One recorded step: fixed memory for inputs and outputs, and the graph between them. */
class Graph {
  readonly #device: Device;
  readonly #id: number;
  readonly #inputs: readonly Tensor[];
  readonly #result: unknown;
  readonly #recording: Recording;
  readonly #numbers: Float64Array<ArrayBuffer>;
  readonly #randomStart: number;
  readonly #randomBlocks: number;
  /** Gradients as the step leaves them. */
  readonly #gradients: readonly (readonly [Tensor, Tensor | null])[];
  /** What the last replay returned: the next one overwrites it. */
  #returned: Tensor[] = [];

  private constructor(fields: {
    device: Device;
    id: number;
    inputs: readonly Tensor[];
    result: unknown;
    recording: Recording;
    randomStart: number;
    gradients: readonly (readonly [Tensor, Tensor | null])[];
  }) {
    this.#device = fields.device;
    this.#id = fields.id;
    this.#inputs = fields.inputs;
    this.#result = fields.result;
    this.#recording = fields.recording;
    this.#numbers = fields.recording.finish();
    this.#randomStart = fields.randomStart;
    this.#randomBlocks = getRandomState().counter - fields.randomStart;
    this.#gradients = fields.gradients;
  }

  /** Records a step. Nothing of it runs yet, but its state in JavaScript is that after the step, but for the numbers of replays. */
  static record(device: Device, step: (...inputs: unknown[]) => unknown, values: unknown[], prepared: Prepared): Graph {
    const inputs: Tensor[] = [];
    const places = withScope(undefined, () =>
      replaced(values, (tensor) => {
        const place = empty(device, tensor.shape, tensor.dtype, "capture", CATEGORY.other);
        inputs.push(place);
        return place;
      })) as unknown[];
    flushReleases();
    const random = getRandomState();
    const recording = new Recording();
    const { library } = device;
    let result: unknown;
    let id: number;
    try {
      check(library.ax_graph_begin(device.index), "ax_graph_begin", library);
      result = withOwnScalars(device, () => {
        const scope = enterScope("the end of the captured step");
        try {
          const returned = withRecording(recording, () => step(...places));
          if (returned instanceof Promise) {
            throw new CaptureError("Cannot capture a step that returns a Promise: it must be a synchronous function");
          }
          return replaced(returned, (tensor) => tensor.detach().keep());
        } finally {
          endScope(scope);
        }
      });
      flushReleases();
      check(library.ax_graph_end(idBuffer, 1), "ax_graph_end", library);
      id = idBuffer[0];
    } catch (error) {
      flushReleases();
      library.ax_graph_end(idBuffer, 0); // the recording may have ended already
      recording.undo();
      skipRandom(random.counter - getRandomState().counter);
      for (const input of inputs) input.dispose();
      throw error;
    }
    const gradients = Array.from(prepared.buffers).flatMap(({ parameters }) =>
      parameters.map((leaf) => [leaf, leaf.grad] as const)
    );
    return new Graph({ device, id, inputs, result, recording, randomStart: random.counter, gradients });
  }

  /**
   * Runs the recorded step on other values.
   *
   * @param isFirst Whether the step has just been recorded, which has changed the state in JavaScript already.
   */
  replay(values: unknown[], isFirst: boolean): unknown {
    for (const tensor of this.#returned) {
      tensor.releaseAt("the next call of the captured step; clone() it to hold it longer");
    }
    let at = 0;
    forEachTensor(values, isTensor, (tensor) => {
      tensor.checkLive("a captured step");
      const place = this.#inputs[at++];
      if (tensor.storage.device === this.#device) copyInto(place, tensor);
      else writeBytes(place, new Uint8Array(readBytes(tensor)));
    });
    if (!isFirst) this.#recording.prepareReplay();
    const { seedLow, seedHigh, counter } = getRandomState();
    const start = isFirst ? this.#randomStart : counter;
    const { library } = this.#device;
    check(
      library.ax_graph_replay(
        this.#id,
        this.#numbers,
        this.#numbers.length,
        seedLow,
        seedHigh,
        start - this.#randomStart,
      ),
      "ax_graph_replay",
      library,
    );
    if (!isFirst) skipRandom(this.#randomBlocks);
    for (const [leaf, grad] of this.#gradients) leaf.grad = grad;
    const returned: Tensor[] = [];
    const result = replaced(this.#result, (tensor) => {
      // A scalar is the caller's for as long as it likes, as everywhere.
      if (tensor.shape.length === 0) return copied(tensor, "captured step");
      const view = viewOf(tensor, tensor.shape, tensor.strides, tensor.offset, "captured step");
      returned.push(view);
      return view;
    });
    this.#returned = returned;
    return result;
  }

  /** Frees the graph and its memory. */
  dispose(): void {
    for (const tensor of this.#returned) tensor.releaseAt("the end of the captured step's graph");
    for (const tensor of [...this.#inputs, ...tensorsIn(this.#result)]) tensor.dispose();
    flushReleases();
    const { library } = this.#device;
    check(library.ax_graph_release(this.#id), "ax_graph_release", library);
  }
}

/** Makes a captured step: see `Accelerator.capture`. On the CPU it is the step itself. */
export function capture<Inputs extends unknown[], Result>(
  device: Device,
  step: (...inputs: Inputs) => Result,
  prepared: Prepared,
  { maxGraphs = 8 }: CaptureOptions,
): CapturedStep<Inputs, Result> {
  if (!Number.isInteger(maxGraphs) || maxGraphs < 1) {
    throw new RangeError(`Cannot keep ${maxGraphs} graphs: maxGraphs must be a positive integer`);
  }
  if (device.type === "cpu") {
    const run = (...inputs: Inputs): Result => step(...inputs);
    return Object.assign(run, { dispose: () => {}, [Symbol.dispose]: () => {} });
  }
  // `null`: the step has run with such inputs, so that all state that it needs exists.
  const graphs = new Map<string, Graph | null>();
  let count = 0;
  const run = (...inputs: Inputs): Result => {
    const key = `${describeState(prepared)} ${describe(inputs)}`;
    const known = graphs.get(key);
    if (known === undefined) {
      graphs.set(key, null);
      return step(...inputs);
    }
    if (known === null && count === maxGraphs) {
      throw new CaptureError(
        `Cannot capture the step for ${
          describe(inputs)
        }: there are ${maxGraphs} graphs for other shapes already. Make the shapes ` +
          `equal (dropLast, padding), or allow more with { maxGraphs }`,
      );
    }
    const graph = known ?? Graph.record(device, step as (...inputs: unknown[]) => unknown, inputs, prepared);
    if (known === null) {
      graphs.set(key, graph);
      count++;
    }
    return noGrad(() => graph.replay(inputs, known === null)) as Result;
  };
  const dispose = (): void => {
    for (const graph of graphs.values()) graph?.dispose();
    graphs.clear();
    count = 0;
  };
  return Object.assign(run, { dispose, [Symbol.dispose]: dispose });
}
