/**
 * Bytes to frames and frames to bytes, for both ends of a store connection.
 *
 * @module
 */
import { MAX_FRAME_BYTES, ProtocolError } from "./store_protocol.ts";

const LENGTH_BYTES = 4;
const READ_BYTES = 64 * 1024;

/** Cuts a byte stream, however it was chunked, into the frames it carries. */
export class FrameReader {
  #buffer = new Uint8Array(1024);
  #count = 0;

  /**
   * Takes the next bytes and returns the frames they complete, without their length prefix. The frames are copies.
   *
   * @throws {ProtocolError} When a frame announces more than {@link MAX_FRAME_BYTES}. The reader is of no use afterwards.
   */
  push(chunk: Uint8Array): Uint8Array<ArrayBuffer>[] {
    this.#append(chunk);
    const frames: Uint8Array<ArrayBuffer>[] = [];
    const view = new DataView(this.#buffer.buffer);
    let start = 0;
    while (this.#count - start >= LENGTH_BYTES) {
      const length = view.getUint32(start, true);
      if (length > MAX_FRAME_BYTES) {
        throw new ProtocolError(`a frame announces ${length} bytes, at most ${MAX_FRAME_BYTES} are allowed`);
      }
      const end = start + LENGTH_BYTES + length;
      if (end > this.#count) break;
      frames.push(this.#buffer.slice(start + LENGTH_BYTES, end));
      start = end;
    }
    this.#buffer.copyWithin(0, start, this.#count);
    this.#count -= start;
    return frames;
  }

  #append(chunk: Uint8Array): void {
    const needed = this.#count + chunk.length;
    if (needed > this.#buffer.length) {
      // Growth follows the bytes that arrived, not the length that was announced: a liar gets no memory.
      const larger = new Uint8Array(Math.max(needed, 2 * this.#buffer.length));
      larger.set(this.#buffer.subarray(0, this.#count));
      this.#buffer = larger;
    }
    this.#buffer.set(chunk, this.#count);
    this.#count = needed;
  }
}

/** Writes whole frames in the order of {@link send}, although a single write may take only a part. */
export class FrameWriter {
  readonly #connection: Deno.Conn;
  #last: Promise<void> = Promise.resolve();

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** Resolves when the frame is written; rejects when the connection is gone. */
  send(frame: Uint8Array): Promise<void> {
    this.#last = this.#last.then(() => writeAll(this.#connection, frame));
    return this.#last;
  }
}

/** Writes all bytes. */
export async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length;) offset += await connection.write(bytes.subarray(offset));
}

/**
 * Reads exactly this many bytes and never one more.
 *
 * @returns The bytes, or `undefined` when the peer closed the connection before.
 */
export async function readExactly(connection: Deno.Conn, count: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const bytes = new Uint8Array(count);
  for (let offset = 0; offset < count;) {
    const read = await connection.read(bytes.subarray(offset));
    if (read === null) return undefined;
    offset += read;
  }
  return bytes;
}

/** Calls `onFrame` for every frame until the peer closes the connection. */
export async function readFrames(
  connection: Deno.Conn,
  onFrame: (frame: Uint8Array<ArrayBuffer>) => void,
): Promise<void> {
  const reader = new FrameReader();
  const chunk = new Uint8Array(READ_BYTES);
  for (;;) {
    const read = await connection.read(chunk);
    if (read === null) return;
    for (const frame of reader.push(chunk.subarray(0, read))) onFrame(frame);
  }
}

/** Closes a connection that the other side or a deadline may have closed already. */
export function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** Whether an error says that the connection ended, for whatever reason, and not that the program is wrong. */
export function isConnectionEnd(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.Interrupted || error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.UnexpectedEof || error instanceof Deno.errors.TimedOut;
}
