/**
 * The peer process of bench/gpu.ts: PyTorch, asked for one timing at a time over its standard input and output.
 *
 * @module
 */
import type { Sizes } from "./cases.ts";

/** Microseconds of one call by variant: what PyTorch chooses, and its other implementations where it has some. */
export type PeerTimes = Record<string, number>;

/** A running peers/gpu.py. */
export class Peer {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncGenerator<string>;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#writer = process.stdin.getWriter();
    this.#lines = lines(process.stdout);
  }

  /** Starts the process and returns it with what it says of itself. */
  static async start(python: string, device: string): Promise<[Peer, Record<string, string>]> {
    const script = new URL("../peers/gpu.py", import.meta.url).pathname;
    const peer = new Peer(
      new Deno.Command(python, { args: [script, device], stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn(),
    );
    return [peer, JSON.parse(await peer.#next())];
  }

  async #next(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("the peer ended: its message is above");
    return value;
  }

  /** Times `repeats` calls of a case. */
  async time(kind: string, sizes: Sizes, repeats: number): Promise<PeerTimes> {
    await this.#writer.write(new TextEncoder().encode(JSON.stringify({ kind, repeats, ...sizes }) + "\n"));
    return JSON.parse(await this.#next());
  }

  /** Ends the process. */
  async close(): Promise<void> {
    await this.#writer.close();
    await this.#process.status;
  }
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}
