import { assert, assertEquals } from "@std/assert";
import { CheckpointError, io } from "../../mod.ts";
import { Random, seedFrom } from "../_support/random.ts";

const VARIABLE = "ACCELERATE_FUZZ_SEED";
const FILES = 1000;
const BYTES: Readonly<Record<string, number>> = { F64: 8, F32: 4, BF16: 2, F16: 2, I64: 8, I32: 4, U8: 1, BOOL: 1 };
const NAMES = ["a", "weight", "", "__proto__", "constructor", "toString", "0", "ünï\ncode", "x".repeat(300)];

interface Loaded {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: readonly number[];
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** What a file holds by the letter of the format; null for a file that must be refused. Shares no code with src/io. */
function reference(file: Uint8Array): Map<string, Loaded> | null {
  if (file.length < 8) return null;
  const length = file.subarray(0, 8).reduceRight((sum, byte) => sum * 256 + byte, 0);
  if (length > 1e8 || 8 + length > file.length) return null;
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(file.subarray(8, 8 + length)));
  } catch {
    return null;
  }
  if (Object.prototype.toString.call(header) !== "[object Object]") return null;
  const data = file.subarray(8 + length);
  const owner = new Array<string | undefined>(data.length);
  const tensors = new Map<string, Loaded>();
  for (const name of Object.keys(header as object)) {
    const entry = Object.getOwnPropertyDescriptor(header, name)!.value;
    if (name === "__metadata__") {
      const texts = Object.prototype.toString.call(entry) === "[object Object]" ? Object.values(entry) : [0];
      if (!texts.every((text) => typeof text === "string")) return null;
      continue;
    }
    if (Object.prototype.toString.call(entry) !== "[object Object]") return null;
    const { dtype, shape, data_offsets: offsets } = entry;
    if (typeof dtype !== "string" || !Object.hasOwn(BYTES, dtype)) return null;
    if (!Array.isArray(shape) || !shape.every(isCount)) return null;
    if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) return null;
    let size = BigInt(BYTES[dtype]);
    for (const each of shape) size *= BigInt(each || 1);
    // The product of the sizes must be a number, also when one of them is 0.
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) return null;
    if (shape.includes(0)) size = 0n;
    const [start, end] = offsets;
    if (BigInt(end - start) !== size || end > data.length) return null;
    for (let at = start; at < end; at++) {
      if (owner[at] !== undefined) return null;
      owner[at] = name;
    }
    // A tensor without elements lies at a border.
    if (start === end && start > 0 && start < data.length && owner[start - 1] === owner[start] && owner[start]) {
      return null;
    }
    tensors.set(name, { dtype, shape, bytes: [...data.subarray(start, end)] });
  }
  for (let at = 0; at < data.length; at++) if (owner[at] === undefined) return null;
  return tensors;
}

function makeShape(random: Random): number[] {
  return Array.from({ length: random.integer(0, 4) }, () => random.chance(0.1) ? 0 : random.integer(1, 4));
}

/** A value that a damaged header may have anywhere. */
function junk(random: Random): unknown {
  return random.pick<() => unknown>([
    () => random.integer(-3, 40),
    () => 0.5,
    () => 1e300,
    () => 2 ** 53,
    () => [2 ** 40, 2 ** 40, 0],
    () => [2 ** 52, 3],
    () => null,
    () => "F32",
    () => ["F32"],
    () => "constructor",
    () => [0, 4],
    () => [],
    () => ({}),
    () => true,
  ])();
}

/** A file that is valid, or was damaged in its header, its offsets, its bytes or its length. */
function makeFile(random: Random): Uint8Array<ArrayBuffer> {
  const entries: [string, Record<string, unknown>][] = [];
  let position = 0;
  const names = NAMES.toSorted(() => random.next() - 0.5).slice(0, random.integer(0, 5));
  for (const name of names) {
    const dtype = random.pick(Object.keys(BYTES));
    const shape = makeShape(random);
    const end = position + BYTES[dtype] * shape.reduce((product, size) => product * size, 1);
    entries.push([name, { dtype, shape, data_offsets: [position, end] }]);
    position = end;
  }
  if (random.chance(0.3)) entries.push(["__metadata__", { format: random.chance(0.8) ? "pt" : junk(random) }]);
  if (entries.length > 0 && random.chance(0.4)) {
    const [, entry] = random.pick(entries);
    const key = random.pick(Object.keys(entry));
    const old = entry[key];
    if (random.chance(0.4) && Array.isArray(old) && old.length > 0) {
      entry[key] = old.with(random.integer(0, old.length), random.chance(0.5) ? junk(random) : old[0] + 1);
    } else if (random.chance(0.8)) {
      entry[key] = junk(random);
    } else {
      delete entry[key];
    }
  }
  let text = JSON.stringify(Object.fromEntries(entries.toSorted(() => random.next() - 0.5)));
  if (random.chance(0.05)) text = JSON.stringify(junk(random));
  if (random.chance(0.3)) text += " ".repeat(random.integer(0, 9));
  const header = new TextEncoder().encode(text);
  const spare = random.chance(0.1) ? random.integer(-3, 4) : 0;
  const file = new Uint8Array(Math.max(8, 8 + header.length + position + spare));
  file.set(header.subarray(0, Math.max(0, file.length - 8)), 8);
  for (let i = 8 + header.length; i < file.length; i++) file[i] = random.integer(0, 2);
  const length = header.length + (random.chance(0.05) ? random.integer(-9, 10) : 0);
  new DataView(file.buffer).setBigUint64(0, BigInt(random.chance(0.02) ? 2 ** 62 : Math.max(0, length)), true);
  for (let k = random.chance(0.2) ? random.integer(1, 4) : 0; k > 0; k--) {
    file[random.integer(0, Math.min(file.length, 8 + header.length))] = random.integer(0, 256);
  }
  return random.chance(0.05) ? file.slice(0, random.integer(0, file.length)) : file;
}

const DTYPES: Readonly<Record<string, string>> = {
  float64: "F64",
  float32: "F32",
  bfloat16: "BF16",
  float16: "F16",
  int64: "I64",
  int32: "I32",
  uint8: "U8",
  bool: "BOOL",
};

Deno.test(`${FILES} valid and damaged safetensors files are loaded, or refused, as the format says`, async () => {
  const first = seedFrom(VARIABLE);
  console.log(`seed ${first}: repeat with ${VARIABLE}=${first}`);
  const path = await Deno.makeTempFile({ suffix: ".safetensors" });
  const totals = { loaded: 0, tensors: 0, refused: 0 };
  try {
    for (let i = 0; i < FILES; i++) {
      const file = makeFile(new Random(first + i));
      const expected = reference(file);
      await Deno.writeFile(path, file);
      const what = `seed ${first + i}: ${new TextDecoder().decode(file.subarray(8)).slice(0, 300)}`;
      const result = await io.loadSafetensors(path).catch((error) => error);
      if (expected === null) {
        assert(result instanceof CheckpointError, `${what}\nmust be refused, but gives ${Object.keys(result)}`);
        assert(result.path === path && result.message.startsWith(`Cannot load ${path}: `), result.message);
        totals.refused++;
        continue;
      }
      assert(!(result instanceof Error), `${what}\nmust be loaded, but: ${result?.message}`);
      assertEquals(Object.keys(result).sort(), [...expected.keys()].sort(), what);
      for (const [name, { dtype, shape, bytes }] of expected) {
        const x = Object.getOwnPropertyDescriptor(result, name)!.value;
        assertEquals([DTYPES[x.dtype], x.shape, [...new Uint8Array(x.data().buffer)]], [dtype, shape, bytes], what);
        x.dispose();
        totals.tensors++;
      }
      totals.loaded++;
    }
  } finally {
    await Deno.remove(path);
  }
  // The test tests: both kinds are frequent.
  assert(totals.loaded > FILES / 5 && totals.refused > FILES / 5 && totals.tensors > FILES / 3, JSON.stringify(totals));
});
