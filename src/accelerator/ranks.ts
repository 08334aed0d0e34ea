/**
 * The ranks of a job as the Accelerator speaks to them: collectives run one after another in the order of their calls, and ranks that
 * call different ones all learn it, and what each of them called.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import { CollectiveError } from "../core/errors.ts";
import { noGrad } from "../core/op.ts";
import { tensor } from "../creation.ts";
import type { DistributedEnvironment } from "../distributed/environment.ts";
import { LastingGroup } from "../distributed/lasting_group.ts";
import { tidy } from "../tidy.ts";
import { Regions } from "./regions.ts";

/** FNV-1a of a text. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

/** All ranks' bytes, which may differ in length; `lengths` are those of all ranks. */
function exchangeBytes(
  group: LastingGroup,
  bytes: Uint8Array<ArrayBuffer>,
  lengths: readonly number[],
): Uint8Array<ArrayBuffer>[] {
  const longest = Math.max(...lengths);
  if (longest === 0) return lengths.map(() => new Uint8Array(0));
  const padded = new Uint8Array(longest);
  padded.set(bytes);
  return tidy(() => {
    const all = group.allGather(tensor(padded, { device: group.device.toString() })).data() as Uint8Array<ArrayBuffer>;
    return lengths.map((length, rank) => all.slice(rank * longest, rank * longest + length));
  });
}

/** One number of each rank. */
function exchangeNumbers(group: LastingGroup, values: readonly number[]): number[][] {
  const all = tidy(() =>
    Array.from(
      group.allGather(tensor(values.slice(), { dtype: "float64", device: group.device.toString() })).data(),
      Number,
    )
  );
  return Array.from({ length: group.worldSize }, (_, r) => all.slice(r * values.length, (r + 1) * values.length));
}

/** What a collective may use while it has its turn. */
export interface Turn {
  readonly group: LastingGroup;
  /**
   * Compares what the ranks call, and gives a number of each.
   *
   * @param op The operation.
   * @param detail What must be the same on all ranks too: shapes and dtypes.
   * @param value A number that may differ.
   * @throws {CollectiveError} On every rank, when operations or details differ.
   */
  agree(op: string, detail: string, value?: number): number[];
  /** The bytes of all ranks, after {@link agree} has given their lengths. */
  bytes(own: Uint8Array<ArrayBuffer>, lengths: readonly number[]): Uint8Array<ArrayBuffer>[];
}

/** What each rank calls, as an error that all of them get. */
function disagreement(group: LastingGroup, op: string, detail: string): CollectiveError {
  const own = new TextEncoder().encode(JSON.stringify([op, detail]));
  const lengths = exchangeNumbers(group, [own.length]).map(([length]) => length);
  const calls = exchangeBytes(group, own, lengths).map((bytes) => JSON.parse(new TextDecoder().decode(bytes)));
  const sameOp = calls.every(([other]) => other === op);
  const lines = calls.map(([name, said], rank) => `Process ${rank}: ${sameOp ? said : `${name} of ${said}`}`);
  return new CollectiveError(
    `Cannot ${op}: all ranks must call the same, with tensors of the same shapes and dtypes\n${lines.join("\n")}`,
    { rank: calls.findIndex((call) => String(call) !== String(calls[0])), op },
  );
}

/** What may be done with a group while nobody else uses it. */
export function turnOf(group: LastingGroup): Turn {
  return {
    group,
    agree(op, detail, value = 0) {
      const heads = exchangeNumbers(group, [hash(`${op} ${detail}`), value]);
      if (heads.some(([code]) => code !== heads[0][0])) throw disagreement(group, op, detail);
      return heads.map(([, number]) => number);
    },
    bytes: (own, lengths) => exchangeBytes(group, own, lengths),
  };
}

/** The ranks of one Accelerator. */
export class Ranks {
  readonly environment: DistributedEnvironment;
  /** Where this rank computes, and its collectives too. */
  readonly device: Device;
  readonly rank: number;
  readonly worldSize: number;
  readonly regions: Regions;
  readonly #timeoutMs: number;
  #group: Promise<LastingGroup> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /**
   * @param environment The place of this process.
   * @param device Where it computes.
   * @param timeoutMs How long a rank waits for the others.
   */
  constructor(environment: DistributedEnvironment, device: Device, timeoutMs: number) {
    this.environment = environment;
    this.device = device;
    this.rank = environment.rank;
    this.worldSize = environment.worldSize;
    this.regions = new Regions(environment.rank);
    this.#timeoutMs = timeoutMs;
  }

  /** The group; the first call meets the others. */
  join(): Promise<LastingGroup> {
    return this.#group ??= LastingGroup.join(this.environment, this.device, this.#timeoutMs);
  }

  /**
   * Runs a collective when those called before have ended.
   *
   * @param op Its name, for messages.
   * @param body What it does; the thread does not wait long in there, since every rank has come.
   * @throws {CollectiveError} Inside a region of some ranks, when a rank died, or when the ranks call different things.
   */
  async run<T>(op: string, body: (turn: Turn) => T | Promise<T>): Promise<T> {
    this.regions.forbid(op);
    this.#waiting++;
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    try {
      await before;
      const group = await this.join();
      await group.ready();
      return await noGrad(() => body(turnOf(group)));
    } finally {
      this.#waiting--;
      resolve();
    }
  }

  /**
   * Throws when a collective that blocks cannot run now.
   *
   * @throws {CollectiveError} Inside a region of some ranks, or while another collective waits for its `await`.
   */
  checkFree(op: string): void {
    this.regions.forbid(op);
    if (this.#waiting === 0) return;
    throw new CollectiveError(
      `Cannot call ${op} now: another operation between ranks has not ended. Await every promise of the Accelerator first`,
      { rank: this.rank, op },
    );
  }

  /** Waits for every rank and leaves. */
  async close(): Promise<void> {
    if (this.#group === undefined) return;
    const group = await this.#group;
    await this.#last;
    await group.barrier();
    this.#group = undefined;
    await group.close();
  }
}
