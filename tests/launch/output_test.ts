import { assert, assertEquals } from "@std/assert";
import { LinePrefixer, SharedOutput, Tail } from "../../src/launch/output.ts";

const encoder = new TextEncoder();

function text(blocks: Uint8Array<ArrayBuffer>[]): string {
  return blocks.map((block) => new TextDecoder().decode(block)).join("");
}

/** Pushes in pieces of the given sizes and returns all that comes out. */
function prefixed(input: string, pieceBytes: () => number): string {
  const prefixer = new LinePrefixer("[rank 1] ");
  const bytes = encoder.encode(input);
  const blocks: Uint8Array<ArrayBuffer>[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + pieceBytes());
    blocks.push(...prefixer.push(bytes.subarray(start, end)));
    start = end;
  }
  blocks.push(...prefixer.flush());
  return text(blocks);
}

function expected(input: string): string {
  if (input === "") return "";
  const lines = input.endsWith("\n") ? input.slice(0, -1) : input;
  return lines.split("\n").map((line) => `[rank 1] ${line}\n`).join("");
}

Deno.test("every line gets its prefix, however the bytes were cut", () => {
  const inputs = [
    "",
    "\n",
    "\n\n",
    "one",
    "one\n",
    "one\ntwo",
    "a\n\nb\n",
    "größe ✓ 漢字\nend",
    `${"x".repeat(5000)}\nshort\n${"y".repeat(10_000)}`,
    Array.from({ length: 500 }, (_, i) => `line ${i} ${"z".repeat(i % 97)}`).join("\n"),
  ];
  let state = 1;
  const random = (limit: number): number => 1 + (state = (state * 48271) % 2147483647) % limit;
  for (const input of inputs) {
    for (const limit of [1, 3, 64, 4096, 1 << 20]) {
      assertEquals(prefixed(input, () => random(limit)), expected(input));
    }
  }
});

Deno.test("nothing is shown before a line is complete, and blocks hold whole lines", () => {
  const prefixer = new LinePrefixer("> ");
  assertEquals(prefixer.push(encoder.encode("half")), []);
  assertEquals(text(prefixer.push(encoder.encode(" line\nnext"))), "> half line\n");
  assertEquals(text(prefixer.flush()), "> next\n");
  assertEquals(prefixer.flush(), []);
  const blocks = prefixer.push(encoder.encode("0123456789\n".repeat(2000)));
  assert(blocks.length > 1);
  for (const block of blocks) {
    assert(block.length <= 4096);
    assertEquals(block.at(-1), 10);
  }
});

Deno.test("a line that never ends does not fill the memory", () => {
  const prefixer = new LinePrefixer("> ");
  const piece = encoder.encode("x".repeat(300 * 1024));
  const lengths = Array.from({ length: 4 }, () => text(prefixer.push(piece)).length);
  assertEquals(lengths, [0, 0, 0, 2 + 4 * piece.length + 1]);
});

Deno.test("the tail is the last lines", () => {
  const tail = new Tail();
  for (let i = 0; i < 10_000; i++) tail.push(encoder.encode(`line ${i}\n`));
  assertEquals(tail.lastLines(3), ["line 9997", "line 9998", "line 9999"]);
  assertEquals(new Tail().lastLines(3), [""]);
  const one = new Tail();
  one.push(encoder.encode("x".repeat(100_000)));
  assert(one.lastLines(3)[0].length < 20_000);
});

Deno.test("blocks are written whole and in order, although a write takes only a part", async () => {
  const written: number[] = [];
  const output = new SharedOutput({
    write(bytes: Uint8Array): Promise<number> {
      const count = Math.min(3, bytes.length);
      written.push(...bytes.subarray(0, count));
      return Promise.resolve(count);
    },
  });
  await Promise.all(["first block,", "second,", "third"].map((part) => output.write([encoder.encode(part)])));
  assertEquals(new TextDecoder().decode(new Uint8Array(written)), "first block,second,third");
});

Deno.test("a reader that went away is no error", async () => {
  let calls = 0;
  const output = new SharedOutput({
    write(): Promise<number> {
      calls++;
      return Promise.reject(new Deno.errors.BrokenPipe("gone"));
    },
  });
  await output.write([encoder.encode("a"), encoder.encode("b")]);
  await output.write([encoder.encode("c")]);
  assertEquals(calls, 1);
});
