/**
 * The Worker that writes a checkpoint while training goes on: it gets one {@link CheckpointJob} and answers with an error's message or null.
 *
 * @module
 */
import { type CheckpointJob, runCheckpointJob } from "./checkpoint_job.ts";

/** What a Worker's global scope has; the types of the page's are other ones. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<CheckpointJob>) => void) | null;
  postMessage(answer: string | null): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data: job }) => {
  try {
    await runCheckpointJob(job);
    scope.postMessage(null);
  } catch (error) {
    scope.postMessage(error instanceof Error ? error.message : String(error));
  }
};
