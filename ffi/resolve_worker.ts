/**
 * Runs `resolveLibrary` on another thread, so that the first tensor of a program that was imported over http(s) can wait for
 * the download in synchronous code. See `resolveLibrarySync` in library.ts.
 *
 * @module
 */
import { type Backend, resolveLibrary } from "./resolve.ts";

/** What library.ts sends: words 0 and 1 of `memory` are the state and the byte length of the answer behind them. */
export interface ResolveRequest {
  backend: Backend;
  memory: SharedArrayBuffer;
}

const worker = self as unknown as { onmessage: (event: MessageEvent<ResolveRequest>) => void; close(): void };

worker.onmessage = async ({ data: { backend, memory } }) => {
  const words = new Int32Array(memory, 0, 2);
  let state = 1;
  let answer: string;
  try {
    answer = await resolveLibrary(backend);
  } catch (error) {
    state = 2;
    answer = error instanceof Error ? error.message : String(error);
  }
  const bytes = new TextEncoder().encode(answer).subarray(0, memory.byteLength - 8);
  new Uint8Array(memory, 8).set(bytes);
  words[1] = bytes.length;
  Atomics.store(words, 0, state);
  Atomics.notify(words, 0);
  worker.close();
};
