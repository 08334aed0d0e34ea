/**
 * The output of several processes on one terminal: whole lines, each with its rank in front.
 *
 * @module
 */

const NEWLINE = 10;
/** Writes of at most PIPE_BUF bytes to a pipe are not torn apart by those of rank 0, which writes to the same pipe itself. */
const BLOCK_BYTES = 4096;
/** A line may be cut here when no newline comes, lest it fill the memory. */
const MAX_LINE_BYTES = 1024 * 1024;
const TAIL_BYTES = 16 * 1024;

type Bytes = Uint8Array<ArrayBuffer>;

/** Puts a prefix before every line of a byte stream, in blocks of whole lines. */
export class LinePrefixer {
  readonly #prefix: Bytes;
  /** The beginning of a line whose newline has not come yet. */
  #open: Bytes = new Uint8Array(0);

  constructor(prefix: string) {
    this.#prefix = new TextEncoder().encode(prefix);
  }

  /** Takes the next bytes and returns the lines that they complete. */
  push(chunk: Uint8Array): Bytes[] {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    const lines = end > 0 ? this.#format(join(this.#open, chunk.subarray(0, end))) : [];
    this.#open = end > 0 ? chunk.slice(end) : join(this.#open, chunk);
    return this.#open.length > MAX_LINE_BYTES ? [...lines, ...this.flush()] : lines;
  }

  /** Ends a last line that has no newline. */
  flush(): Bytes[] {
    if (this.#open.length === 0) return [];
    const line = join(this.#open, Uint8Array.of(NEWLINE));
    this.#open = new Uint8Array(0);
    return this.#format(line);
  }

  #format(lines: Bytes): Bytes[] {
    const blocks: Bytes[] = [];
    let block = new Uint8Array(BLOCK_BYTES);
    let count = 0;
    const finish = (): void => {
      if (count > 0) blocks.push(block.slice(0, count));
      count = 0;
    };
    for (let start = 0; start < lines.length;) {
      const end = lines.indexOf(NEWLINE, start) + 1;
      const bytes = this.#prefix.length + end - start;
      if (count + bytes > BLOCK_BYTES) finish();
      if (bytes > block.length) block = new Uint8Array(bytes);
      block.set(this.#prefix, count);
      block.set(lines.subarray(start, end), count + this.#prefix.length);
      count += bytes;
      start = end;
    }
    finish();
    return blocks;
  }
}

function join(first: Uint8Array, second: Uint8Array): Bytes {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}

/** The end of a byte stream. */
export class Tail {
  #blocks: Uint8Array[] = [];
  #bytes = 0;

  push(block: Uint8Array): void {
    this.#blocks.push(block);
    this.#bytes += block.length;
    while (this.#blocks.length > 1 && this.#bytes - this.#blocks[0].length >= TAIL_BYTES) {
      this.#bytes -= this.#blocks[0].length;
      this.#blocks.shift();
    }
  }

  /** The last lines, without empty ones at the end. */
  lastLines(count: number): string[] {
    const bytes = this.#blocks.reduce<Bytes>((text, block) => join(text, block), new Uint8Array(0));
    return new TextDecoder().decode(bytes.slice(-TAIL_BYTES)).trimEnd().split("\n").slice(-count);
  }
}

/** One of the launcher's own streams. Every block is written whole before the next begins. */
export class SharedOutput {
  readonly #stream: { write(bytes: Uint8Array): Promise<number> };
  #last: Promise<void> = Promise.resolve();
  #isGone = false;

  constructor(stream: { write(bytes: Uint8Array): Promise<number> }) {
    this.#stream = stream;
  }

  /** Resolves when the blocks are written, so that a fast process waits for a slow reader. */
  write(blocks: readonly Uint8Array[]): Promise<void> {
    this.#last = this.#last.then(() => this.#writeAll(blocks));
    return this.#last;
  }

  async #writeAll(blocks: readonly Uint8Array[]): Promise<void> {
    try {
      for (const block of blocks) {
        for (let offset = 0; offset < block.length && !this.#isGone;) {
          offset += await this.#stream.write(block.subarray(offset));
        }
      }
    } catch {
      // The reader went away (`launch | head`) or the disk is full. Training goes on; its output is read and dropped.
      this.#isGone = true;
    }
  }
}
