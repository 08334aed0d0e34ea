/**
 * Checkpoints that are written while training goes on: a snapshot is handed to a Worker.
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";
import { safetensorsSnapshot } from "../io/safetensors_format.ts";
import type { TensorFile } from "./checkpoint_contents.ts";
import type { CheckpointJob } from "./checkpoint_job.ts";

/** Writes one checkpoint after another in the background. */
export class BackgroundWriter {
  #running: Promise<void> | undefined;

  /**
   * Waits for the checkpoint that is being written.
   *
   * @throws {CheckpointError} When it could not be written. The error is thrown once.
   */
  async flush(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    try {
      await running;
    } finally {
      if (this.#running === running) this.#running = undefined;
    }
  }

  /**
   * Copies the tensors and starts to write. The one before must have been flushed.
   *
   * @param job What to write, but for the files.
   * @param files The files.
   */
  start(job: Omit<CheckpointJob, "files">, files: readonly TensorFile[]): void {
    const snapshots = files.map(({ layout }) => safetensorsSnapshot(layout));
    const copies = files.map(({ name }, i) => ({ name, parts: snapshots[i].parts }));
    const buffers = copies.flatMap(({ parts }) => parts.map((part) => part.buffer));
    const running = writeInWorker({ ...job, files: copies }, buffers).finally(() =>
      snapshots.forEach((snapshot) => snapshot.release())
    );
    // flush() reports it; until then it must not end the process.
    running.catch(() => {});
    this.#running = running;
  }
}

function writeInWorker(job: CheckpointJob, transfer: ArrayBuffer[]): Promise<void> {
  const { directory: path } = job.destination;
  const worker = new Worker(new URL("./checkpoint_worker.ts", import.meta.url), { type: "module" });
  return new Promise<void>((resolve, reject) => {
    const fail = (problem: string): void => reject(new CheckpointError(`Cannot save ${path}: ${problem}`, { path }));
    worker.onmessage = ({ data }: MessageEvent<string | null>) => data === null ? resolve() : fail(data);
    worker.onerror = (event) => {
      event.preventDefault();
      fail(`the Worker that writes it failed: ${event.message}`);
    };
    worker.postMessage(job, transfer);
  }).finally(() => worker.terminate());
}
