/**
 * Values of any kind between ranks: what structured cloning copies, and tensors inside of arrays and plain objects.
 *
 * @module
 */
import { nodeV8 } from "../core/node_modules.ts";
import { pack, type Parcel, unpack } from "../data/parcel.ts";
import { checkRank } from "./collectives.ts";
import type { Ranks, Turn } from "./ranks.ts";

/** The bytes of a value. */
export function encode(value: unknown): Uint8Array<ArrayBuffer> {
  return new Uint8Array(nodeV8().serialize(pack(value)));
}

/** The value of some bytes; its tensors are on the CPU. */
export function decode(bytes: Uint8Array<ArrayBuffer>): unknown {
  return unpack(nodeV8().deserialize(bytes) as Parcel);
}

/** The values of all ranks, in rank order, from the bytes of this one's. */
export function exchange(turn: Turn, op: string, own: Uint8Array<ArrayBuffer>): unknown[] {
  return turn.bytes(own, turn.agree(op, "objects", own.length)).map(decode);
}

/** See `Accelerator.gatherObject`. */
export async function gatherObject(ranks: Ranks, value: unknown): Promise<unknown[]> {
  if (ranks.worldSize === 1) {
    ranks.regions.forbid("gatherObject");
    return Array.isArray(value) ? [...value] : [value];
  }
  // What cannot be sent must fail before the others wait for it.
  const own = encode(value);
  const all = await ranks.run("gatherObject", (turn) => exchange(turn, "gatherObject", own));
  return all.every(Array.isArray) ? all.flat(1) : all;
}

/** See `Accelerator.broadcastObject`. */
export async function broadcastObject(ranks: Ranks, value: unknown, root: number): Promise<unknown> {
  checkRank(ranks, root);
  const own = ranks.worldSize > 1 && ranks.rank === root ? encode(value) : new Uint8Array(0);
  return await ranks.run("broadcastObject", (turn) => {
    if (ranks.worldSize === 1) return value;
    const lengths = turn.agree("broadcastObject", `from process ${root}`, own.length);
    const bytes = turn.bytes(own, lengths)[root];
    return ranks.rank === root ? value : decode(bytes);
  });
}
