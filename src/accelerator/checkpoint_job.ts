/**
 * The writing of one checkpoint by one rank, here or in a Worker. It knows no tensors.
 *
 * @module
 */
import { removeOldest } from "./checkpoint_naming.ts";
import { type Destination, type FileContents, type Publication, publish, writeRankFiles } from "./checkpoint_writer.ts";

/** What a rank writes. */
export interface CheckpointJob {
  readonly destination: Destination;
  readonly rank: number;
  readonly files: Iterable<FileContents>;
  /** Rank 0's part; other ranks have none. */
  readonly publication?: Publication;
  /** Of a numbered checkpoint: how many may be left afterwards, in which folder. */
  readonly retention?: { readonly folder: string; readonly limit: number };
}

/** Writes it. */
export async function runCheckpointJob(job: CheckpointJob): Promise<void> {
  const { destination, rank, files, publication, retention } = job;
  if (publication === undefined) return await writeRankFiles(destination, rank, files);
  await publish(destination, files, publication);
  if (retention !== undefined) await removeOldest(retention.folder, retention.limit);
}
