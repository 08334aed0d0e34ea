/**
 * A loader's worker: makes the data set once, then batches on demand.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { philoxWords } from "../core/philox.ts";
import { manualSeed } from "../core/random.ts";
import { scope } from "../tidy.ts";
import { collate } from "./collate.ts";
import { makeFromOrigin } from "./module_dataset.ts";
import { pack, type Parcel, transferables } from "./parcel.ts";
import type { PortableError, WorkerRequest, WorkerResponse, WorkerSetup } from "./worker_messages.ts";

const { origin, collates }: WorkerSetup = workerData;
const port = parentPort!;
const dataset = makeFromOrigin(origin);
// Every request reports the failure; none of them may be missed for it.
dataset.catch(() => {});

async function make({ indices, seed, epoch }: WorkerRequest): Promise<Parcel> {
  const source = await dataset;
  using _batch = scope();
  const samples: unknown[] = [];
  // One after another: two at once would draw their random numbers in an order of chance.
  for (const index of indices) {
    manualSeed(philoxWords(seed, epoch, index)[0]);
    samples.push(await source.get(index));
  }
  return pack(collates ? collate(samples) : samples);
}

function portable(error: unknown): PortableError {
  if (error instanceof Error) return { name: error.name, message: error.message, stack: error.stack ?? "" };
  return { name: "Error", message: String(error), stack: "" };
}

let last = Promise.resolve();
port.on("message", (request: WorkerRequest) => {
  last = last.then(async () => {
    let response: WorkerResponse;
    try {
      response = { id: request.id, parcel: await make(request) };
      port.postMessage(response, transferables(response.parcel));
    } catch (error) {
      // A batch that cannot be cloned is an error like any other.
      port.postMessage({ id: request.id, error: portable(error) } satisfies WorkerResponse);
    }
  });
});
