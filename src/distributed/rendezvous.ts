/**
 * What ranks tell each other through the store before they have a communicator.
 *
 * @module
 */
import type { DistributedEnvironment } from "./environment.ts";
import { StoreClient } from "./store.ts";

/** Connects to the store of the job. */
export function connectStore(environment: DistributedEnvironment, timeoutMs: number): Promise<StoreClient> {
  const { rank, masterAddress, masterPort, storeSecret } = environment;
  return StoreClient.connect({
    hostname: masterAddress,
    port: masterPort,
    secret: storeSecret ?? "",
    rank,
    timeoutMs,
  });
}

/** A value that rank 0 makes and all ranks get. */
export async function shareFromFirst(
  store: StoreClient,
  { rank }: DistributedEnvironment,
  key: string,
  make: () => Uint8Array<ArrayBuffer>,
  timeoutMs: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (rank === 0) await store.set(key, make());
  return await store.get(key, { timeoutMs });
}

/** A name that no other job and no other group has. */
export async function shareName(
  store: StoreClient,
  environment: DistributedEnvironment,
  group: string,
  timeoutMs: number,
): Promise<string> {
  const make = (): Uint8Array<ArrayBuffer> => new TextEncoder().encode(`accelerate-${crypto.randomUUID()}`);
  return new TextDecoder().decode(await shareFromFirst(store, environment, `${group}-name`, make, timeoutMs));
}

/** The texts of all ranks, in their order. */
export async function shareTexts(
  store: StoreClient,
  { rank, worldSize }: DistributedEnvironment,
  key: string,
  text: string,
  timeoutMs: number,
): Promise<string[]> {
  await store.set(`${key}/${rank}`, new TextEncoder().encode(text));
  const decoder = new TextDecoder();
  const values = Array.from({ length: worldSize }, (_, other) => store.get(`${key}/${other}`, { timeoutMs }));
  return (await Promise.all(values)).map((value) => decoder.decode(value));
}
