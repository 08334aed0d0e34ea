/**
 * What ranks tell each other through the store before they have a communicator.
 *
 * @module
 */
import type { DistributedEnvironment } from "./environment.ts";
import { StoreClient } from "./store.ts";

/** How often this process has met the others: every meeting has keys of its own. */
let meetings = 0;

/** One meeting of all ranks of the job. */
export class Rendezvous {
  readonly environment: DistributedEnvironment;
  readonly timeoutMs: number;
  readonly store: StoreClient;
  readonly #prefix: string;

  private constructor(environment: DistributedEnvironment, timeoutMs: number, store: StoreClient, prefix: string) {
    this.environment = environment;
    this.timeoutMs = timeoutMs;
    this.store = store;
    this.#prefix = prefix;
  }

  /**
   * Connects to the store of the job.
   *
   * @param environment The place of this process. All ranks must meet equally often.
   * @param timeoutMs How long to wait for it, and later for the others.
   */
  static async open(environment: DistributedEnvironment, timeoutMs: number): Promise<Rendezvous> {
    const prefix = `meeting/${meetings++}/`;
    const { rank, masterAddress, masterPort, storeSecret } = environment;
    const store = await StoreClient.connect({
      hostname: masterAddress,
      port: masterPort,
      secret: storeSecret ?? "",
      rank,
      timeoutMs,
    });
    return new Rendezvous(environment, timeoutMs, store, prefix);
  }

  /** Whether all ranks are on this machine. */
  get isOneMachine(): boolean {
    return this.environment.localWorldSize === this.environment.worldSize;
  }

  /** A value that rank 0 makes and all ranks get. */
  async shareFromFirst(key: string, make: () => Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    if (this.environment.rank === 0) await this.store.set(this.#prefix + key, make());
    return await this.store.get(this.#prefix + key, { timeoutMs: this.timeoutMs });
  }

  /** A name that no other job and no other group has. */
  async shareName(group: string): Promise<string> {
    const make = (): Uint8Array<ArrayBuffer> => new TextEncoder().encode(`accelerate-${crypto.randomUUID()}`);
    return new TextDecoder().decode(await this.shareFromFirst(`${group}-name`, make));
  }

  /** The texts of all ranks, in their order. */
  async shareTexts(key: string, text: string): Promise<string[]> {
    const keyOf = (rank: number): string => `${this.#prefix}${key}/${rank}`;
    await this.store.set(keyOf(this.environment.rank), new TextEncoder().encode(text));
    const decoder = new TextDecoder();
    const ranks = Array.from({ length: this.environment.worldSize }, (_, rank) => rank);
    const values = ranks.map((rank) => this.store.get(keyOf(rank), { timeoutMs: this.timeoutMs }));
    return (await Promise.all(values)).map((value) => decoder.decode(value));
  }

  /** Ends the connection. */
  close(): Promise<void> {
    return this.store.close();
  }
}
