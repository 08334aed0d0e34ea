/**
 * What the ranks computed for their samples, each sample once and in the order of the epoch. Every rank knows the place of every
 * sample, so nothing is guessed from the number of rows: it works in the middle of an epoch, for streams, for objects and for outputs
 * of different sizes.
 *
 * @module
 */
import type { DType } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { empty } from "../core/op.ts";
import { tensor as makeTensor } from "../creation.ts";
import type { Iteration } from "../data/iteration.ts";
import { PADDING } from "../data/rounds.ts";
import { indexSelect } from "../ops/index_select.ts";
import { copyInto, fillInto } from "../ops/launch.ts";
import { Tensor } from "../tensor.ts";
import { encode, exchange, gatherObject } from "./objects.ts";
import { gather, onDevice } from "./collectives.ts";
import type { JoinedRegion } from "./joined_region.ts";
import { isRecord, mapLeaves } from "./nested.ts";
import type { Ranks, Turn } from "./ranks.ts";

/** One for each sample: a tensor whose first dimension counts them, or a list with an item for each. */
type PerSample = Tensor | readonly unknown[];

/** Where a rank's rows go in the joined result. */
interface Merging {
  /** How many samples each rank holds. */
  readonly counts: readonly number[];
  /** Ranks that have a batch. */
  readonly working: readonly number[];
  /** For each sample in order: the rank that has it, and where. */
  readonly order: readonly { rank: number; row: number }[];
}

/** What a part is, for a rank that has none. */
type Specification = { readonly shape: readonly number[]; readonly dtype: DType } | null;

/** What a rank with a batch tells those without. */
interface Told {
  readonly places: readonly number[];
  readonly parts: readonly Specification[];
}

function merging(places: readonly (readonly number[])[]): Merging {
  const order = places.flatMap((own, rank) => own.map((place, row) => ({ place, rank, row })))
    .filter(({ place }) => place !== PADDING).sort((a, b) => a.place - b.place);
  const counts = places.map(({ length }) => length);
  return { counts, order, working: counts.flatMap((count, rank) => count > 0 ? [rank] : []) };
}

/** Whether a list holds parts, and not an item for each sample: all its leaves are tensors of rows, or scalars of the batch. */
function holdsParts(list: readonly unknown[], count: number): boolean {
  let onlyTensors = true;
  let hasRows = false;
  mapLeaves(list, (leaf) => {
    const isRows = leaf instanceof Tensor && leaf.shape.length > 0 && leaf.shape[0] === count;
    onlyTensors &&= isRows || (leaf instanceof Tensor && leaf.shape.length === 0);
    hasRows ||= isRows;
    return leaf;
  });
  return onlyTensors && (hasRows || list.length !== count);
}

/** The parts of a value that have something for each sample. Lists whose items are not tensors of rows are such parts. */
function parts(value: unknown, count: number): { list: PerSample[]; rebuild: (merged: readonly unknown[]) => unknown } {
  const list: PerSample[] = [];
  const find = (item: unknown): (merged: readonly unknown[]) => unknown => {
    if (item instanceof Tensor) {
      if (item.shape.length > 0 && item.shape[0] !== count) {
        throw new ShapeError(
          `Cannot gather [${
            item.shape.join(", ")
          }] for metrics: its first dimension must count the ${count} samples of this ` +
            `rank's batch. Reshape it, or give a list with one item for each sample`,
        );
      }
      const index = list.push(item) - 1;
      return (merged) => merged[index];
    }
    if (Array.isArray(item) && !(item.length > 0 && holdsParts(item, count))) {
      if (item.length !== count) {
        throw new ShapeError(
          `Cannot gather a list of ${item.length} for metrics: it must have one item for each of the ${count} samples of this ` +
            `rank's batch`,
        );
      }
      const index = list.push(item) - 1;
      return (merged) => merged[index];
    }
    if (Array.isArray(item)) {
      const inner = item.map(find);
      return (merged) => inner.map((make) => make(merged));
    }
    if (isRecord(item)) {
      const inner = Object.entries(item).map(([key, field]) => [key, find(field)] as const);
      return (merged) => Object.fromEntries(inner.map(([key, make]) => [key, make(merged)]));
    }
    throw new ShapeError(
      `Cannot gather ${
        item === null ? "null" : typeof item
      } for metrics: give tensors, or lists with one item for each sample`,
    );
  };
  const rebuild = find(value);
  return { list, rebuild };
}

/** What must agree of a part. */
function describe(part: PerSample): string {
  if (!(part instanceof Tensor)) return "list";
  return part.shape.length === 0
    ? `scalar ${part.dtype}`
    : `[${["*", ...part.shape.slice(1)].join(", ")}] ${part.dtype}`;
}

function mergeTensor(tensor: Tensor, { counts, order, working }: Merging, { group }: Turn): Tensor {
  const isScalar = tensor.shape.length === 0;
  const longest = isScalar ? 1 : Math.max(...counts);
  let padded = tensor;
  if (!isScalar && tensor.shape[0] < longest) {
    padded = fillInto(empty(tensor.storage.device, tensor.shape.with(0, longest), tensor.dtype, "gatherForMetrics"), 0);
    if (tensor.size > 0) copyInto(padded.narrow(0, 0, tensor.shape[0]), tensor);
  }
  const all = group.allGather(padded).reshape([-1, ...tensor.shape.slice(1)]);
  const rows = isScalar ? working : order.map(({ rank, row }) => rank * longest + row);
  if (rows.length === all.shape[0] && rows.every((row, i) => row === i)) return all;
  return indexSelect(all, 0, makeTensor(Int32Array.from(rows)).to({ device: all.device }));
}

/** Merges lists of all ranks, which were sent as bytes. */
function mergeLists(own: Uint8Array<ArrayBuffer>, { order }: Merging, turn: Turn): unknown[][] {
  const all = exchange(turn, "gatherForMetrics", own) as unknown[][][];
  return all[0].map((_, part) => order.map(({ rank, row }) => all[rank][part][row]));
}

/** Merges parts of all ranks; `lists` are the bytes of those parts that are no tensors. */
function mergeParts(list: readonly PerSample[], lists: Uint8Array<ArrayBuffer>, plan: Merging, turn: Turn): unknown[] {
  const hasLists = list.some((part) => !(part instanceof Tensor));
  const merged = (hasLists ? mergeLists(lists, plan, turn) : []).values();
  return list.map((part) =>
    part instanceof Tensor
      ? onDevice(part, turn.group.device, (near) => mergeTensor(near, plan, turn))
      : merged.next().value
  );
}

function listsOf(list: readonly PerSample[]): Uint8Array<ArrayBuffer> {
  return encode(list.filter((part) => !(part instanceof Tensor)));
}

/** Outside of a loop there are no samples: what the ranks have is joined. */
function gatherLoose(ranks: Ranks, value: unknown): Promise<unknown> {
  let onlyTensors = true;
  mapLeaves(value, (leaf) => onlyTensors &&= leaf instanceof Tensor);
  return onlyTensors ? gather(ranks, value) : gatherObject(ranks, value);
}

/** See `Accelerator.gatherForMetrics`. */
export async function gatherForMetrics(
  ranks: Ranks,
  value: unknown,
  iteration: Iteration | undefined,
  region: Pick<JoinedRegion, "announceMetrics"> | null,
): Promise<unknown> {
  if (iteration === undefined) return await gatherLoose(ranks, value);
  const places = Array.from({ length: ranks.worldSize }, (_, rank) => iteration.places(rank));
  const { list, rebuild } = parts(value, places[ranks.rank].length);
  const lists = listsOf(list);
  const detail = list.map(describe).join("; ");
  if (ranks.worldSize === 1) {
    ranks.regions.forbid("gatherForMetrics");
    return value;
  }
  return await ranks.run("gatherForMetrics", (turn) => {
    let plan = merging(places);
    if (region !== null) {
      region.announceMetrics();
      const own: Told = {
        places: places[ranks.rank],
        parts: list.map((part) => part instanceof Tensor ? { shape: part.shape, dtype: part.dtype } : null),
      };
      plan = merging(
        (exchange(turn, "gatherForMetrics", encode(own)) as (Told | null)[]).map((told) => told?.places ?? []),
      );
    }
    turn.agree("gatherForMetrics", detail);
    return rebuild(mergeParts(list, lists, plan, turn));
  });
}

/** Takes part in what ranks with a batch gather, without a sample. */
export function gatherNothing(turn: Turn): void {
  const told = exchange(turn, "gatherForMetrics", encode(null)) as (Told | null)[];
  const { parts } = told.find((other) => other !== null)!;
  const list = parts.map((part): PerSample =>
    part === null
      ? []
      : empty(turn.group.device, part.shape.length === 0 ? [] : part.shape.with(0, 0), part.dtype, "gather")
  );
  turn.agree("gatherForMetrics", list.map(describe).join("; "));
  mergeParts(list, listsOf(list), merging(told.map((other) => other?.places ?? [])), turn);
}

/** See `Accelerator.sampleWeights`. */
export function sampleWeights({ rank, device }: Ranks, iteration: Iteration | undefined): Tensor {
  if (iteration === undefined) {
    throw new RangeError("Cannot weigh samples outside of the loop over a prepared loader: there is no batch");
  }
  return makeTensor(Float32Array.from(iteration.places(rank), (place) => place === PADDING ? 0 : 1), {
    device: device.toString(),
  });
}
