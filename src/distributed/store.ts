/**
 * The client of the job's key-value store: what the processes of a job use to meet before any collective exists.
 *
 * @module
 */
import { CollectiveError, LaunchError } from "../core/errors.ts";
import {
  CHALLENGE_BYTES,
  createAnswer,
  decodeCounter,
  decodeResponse,
  encodeCounter,
  encodeKey,
  encodeRequest,
  importSecret,
  MAX_FRAME_BYTES,
  MAX_KEY_BYTES,
  type Operation,
  PROOF_BYTES,
  ProtocolError,
  type Response,
  STATUS,
  verifyProof,
} from "./store_protocol.ts";
import { closeQuietly, FrameWriter, isConnectionEnd, readExactly, readFrames, writeAll } from "./store_stream.ts";

/** Where the store is and how to prove that this process belongs to the job. */
export interface StoreConnectOptions {
  /** MASTER_ADDR. */
  hostname: string;
  /** MASTER_PORT. */
  port: number;
  /** ACCELERATE_STORE_SECRET. */
  secret: string;
  /** This process, for error messages. */
  rank?: number;
  /** How long to try. */
  timeoutMs?: number;
}

/** How long to wait for others. */
export interface StoreWaitOptions {
  /** Time limit; five minutes by default. */
  timeoutMs?: number;
}

/** Who takes part in a barrier. */
export interface BarrierOptions extends StoreWaitOptions {
  /** This process. */
  rank: number;
  /** Number of processes that must arrive. */
  worldSize: number;
}

interface Pending {
  operation: Operation;
  key: string;
  resolve: (value: Uint8Array<ArrayBuffer>) => void;
  reject: (error: Error) => void;
}

const EMPTY = new Uint8Array(0);
const CONNECT_TIMEOUT_MS = 60_000;
const WAIT_TIMEOUT_MS = 300_000;
const FIRST_RETRY_MS = 20;
const LAST_RETRY_MS = 1000;

/** The time limit of one wait passed. Internal: callers see a CollectiveError. */
class WaitTimeout extends CollectiveError {}

type Handshake = "joined" | "refused" | "ended";

async function shakeHands(connection: Deno.Conn, secret: string): Promise<Handshake> {
  const challenge = await readExactly(connection, CHALLENGE_BYTES);
  if (challenge === undefined) return "ended";
  const key = await importSecret(secret);
  const answer = await createAnswer(key, challenge);
  await writeAll(connection, answer);
  const proof = await readExactly(connection, PROOF_BYTES);
  // The server drops a wrong proof without a word, so an end here means that the secrets differ.
  return proof !== undefined && await verifyProof(key, challenge, answer, proof) ? "joined" : "refused";
}

/** A connection to the store. It keeps the program alive only while an answer is awaited. */
export class StoreClient {
  readonly #connection: Deno.TcpConn;
  readonly #writer: FrameWriter;
  readonly #address: string;
  readonly #rank: number;
  readonly #pending = new Map<number, Pending>();
  readonly #barrierRounds = new Map<string, number>();
  readonly #reading: Promise<void>;
  #nextId = 1;
  #ended: string | undefined;

  private constructor(connection: Deno.TcpConn, address: string, rank: number) {
    this.#connection = connection;
    this.#writer = new FrameWriter(connection);
    this.#address = address;
    this.#rank = rank;
    connection.setNoDelay(true);
    connection.unref();
    this.#reading = this.#read();
  }

  /**
   * Connects and proves the secret in both directions.
   *
   * @throws {LaunchError} When there is no store within the time limit, or when it belongs to another job.
   */
  static async connect(options: StoreConnectOptions): Promise<StoreClient> {
    const { hostname, port, secret, rank = -1, timeoutMs = CONNECT_TIMEOUT_MS } = options;
    const address = `${hostname}:${port}`;
    const end = performance.now() + timeoutMs;
    let reason = "no answer";
    for (let delayMs = FIRST_RETRY_MS;; delayMs = Math.min(2 * delayMs, LAST_RETRY_MS)) {
      let connection: Deno.TcpConn | undefined;
      const deadline = setTimeout(() => connection && closeQuietly(connection), Math.max(0, end - performance.now()));
      try {
        const signal = AbortSignal.timeout(Math.max(1, end - performance.now()));
        connection = await Deno.connect({ hostname, port, signal });
        const outcome = await shakeHands(connection, secret);
        if (outcome === "joined") return new StoreClient(connection, address, rank);
        closeQuietly(connection);
        if (outcome === "refused") {
          throw new LaunchError(
            `The store at ${address} refused this process: its secret differs from ACCELERATE_STORE_SECRET. ` +
              `The port belongs to another job, or variables of an older job are left in the environment`,
          );
        }
        reason = "it closed the connection";
      } catch (error) {
        if (connection !== undefined) closeQuietly(connection);
        if (error instanceof LaunchError || error instanceof Deno.errors.NotCapable) throw error;
        if (error instanceof ProtocolError) {
          throw new LaunchError(
            `What listens at ${address} is not the store of a job: check MASTER_ADDR and MASTER_PORT`,
            {
              cause: error,
            },
          );
        }
        reason = error instanceof Error ? error.message : String(error);
      } finally {
        clearTimeout(deadline);
      }
      if (performance.now() + delayMs > end) {
        throw new LaunchError(
          `Cannot reach the store at ${address} within ${timeoutMs / 1000} s (${reason}): ` +
            `the launcher must be running, and MASTER_ADDR and MASTER_PORT must name it`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }

  /** Sets a value and wakes everybody who waits for it. */
  async set(key: string, value: Uint8Array): Promise<void> {
    await this.#request("set", key, value);
  }

  /**
   * The value of a key, as soon as some process has set it.
   *
   * @throws {CollectiveError} When nobody set it within the time limit, or when the launcher ended.
   */
  get(key: string, options: StoreWaitOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#request("get", key, EMPTY, options.timeoutMs ?? WAIT_TIMEOUT_MS);
  }

  /** Resolves when all keys are set. */
  async wait(keys: readonly string[], options: StoreWaitOptions = {}): Promise<void> {
    const timeoutMs = options.timeoutMs ?? WAIT_TIMEOUT_MS;
    await Promise.all(keys.map((key) => this.#request("wait", key, EMPTY, timeoutMs)));
  }

  /**
   * Adds to a counter, which starts at 0, and returns the sum. No two processes get the same sum of positive increments.
   *
   * @throws {CollectiveError} When the key holds a value that is not a counter.
   */
  async add(key: string, increment: number): Promise<number> {
    if (!Number.isSafeInteger(increment)) throw new RangeError(`add needs a whole number, got ${increment}`);
    return decodeCounter(await this.#request("add", key, encodeCounter(increment))) ?? 0;
  }

  /** Deletes a key; says whether it existed. */
  async delete(key: string): Promise<boolean> {
    return decodeCounter(await this.#request("delete", key, EMPTY)) === 1;
  }

  /**
   * Resolves when all ranks have called it with this name equally often.
   *
   * @throws {CollectiveError} Which names the ranks that did not come within the time limit.
   */
  async barrier(name: string, options: BarrierOptions): Promise<void> {
    const { rank, worldSize, timeoutMs = WAIT_TIMEOUT_MS } = options;
    const round = this.#barrierRounds.get(name) ?? 0;
    this.#barrierRounds.set(name, round + 1);
    const prefix = `barrier/${name}/${round}/`;
    const ranks = Array.from({ length: worldSize }, (_, index) => `${prefix}rank${index}`);

    await this.add(ranks[rank], 1);
    if (await this.add(`${prefix}arrived`, 1) === worldSize) await this.set(`${prefix}open`, EMPTY);
    try {
      await this.wait([`${prefix}open`], { timeoutMs });
    } catch (error) {
      if (!(error instanceof WaitTimeout)) throw error;
      const counts = await Promise.all(ranks.map((key) => this.add(key, 0)));
      const missing = counts.flatMap((count, index) => count === 0 ? [index] : []);
      throw new CollectiveError(
        `Cannot pass the barrier "${name}": all ${worldSize} ranks must reach it within ${timeoutMs / 1000} s, ` +
          `and ${missing.length === 1 ? "rank" : "ranks"} ${missing.join(", ")} did not. ` +
          `A barrier inside code that only some ranks run never opens`,
        { rank: missing[0] ?? -1, op: "barrier", cause: error },
      );
    }
    if (await this.add(`${prefix}left`, 1) < worldSize) return;
    await Promise.all(
      [...ranks, ...["arrived", "open", "left"].map((part) => prefix + part)].map((key) => this.delete(key)),
    );
  }

  /** Ends the connection. Calls that still wait are rejected. */
  async close(): Promise<void> {
    this.#end("it was closed by this process");
    await this.#reading;
  }

  #error(operation: string, message: string): CollectiveError {
    return new CollectiveError(message, { rank: this.#rank, op: `store.${operation}` });
  }

  async #request(
    operation: Operation,
    key: string,
    value: Uint8Array,
    timeoutMs?: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const keyBytes = encodeKey(key);
    if (keyBytes.length > MAX_KEY_BYTES) {
      throw new RangeError(`A key of the store must have at most ${MAX_KEY_BYTES} bytes, got ${keyBytes.length}`);
    }
    const id = this.#nextId;
    this.#nextId = this.#nextId % 0xffffffff + 1;
    const frame = encodeRequest(operation, id, keyBytes, value);
    if (frame.length > MAX_FRAME_BYTES) {
      throw new RangeError(
        `A value of the store must have less than ${MAX_FRAME_BYTES} bytes, got ${value.length} for "${key}". ` +
          `Send tensors with a collective instead`,
      );
    }
    if (this.#ended !== undefined) {
      throw this.#error(operation, this.#lostMessage(operation, key, this.#ended));
    }
    return await new Promise((resolve, reject) => {
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
        this.#settle(id);
        this.#writer.send(encodeRequest("cancel", id, keyBytes, EMPTY)).catch(() => this.#end("the connection broke"));
        const message = `No process set "${key}" in the job's store within ${
          timeoutMs / 1000
        } s: a rank is missing or late`;
        reject(new WaitTimeout(message, { rank: this.#rank, op: `store.${operation}` }));
      }, timeoutMs);
      const settled = <T>(settle: (result: T) => void) => (result: T): void => {
        clearTimeout(timer);
        settle(result);
      };
      if (this.#pending.size === 0) this.#connection.ref();
      this.#pending.set(id, { operation, key, resolve: settled(resolve), reject: settled(reject) });
      this.#writer.send(frame).catch(() => this.#end("the connection broke"));
    });
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (this.#pending.size === 0 && this.#ended === undefined) this.#connection.unref();
    return pending;
  }

  async #read(): Promise<void> {
    let reason = "the launcher ended";
    try {
      await readFrames(this.#connection, (frame) => this.#answer(decodeResponse(frame)));
    } catch (error) {
      if (error instanceof ProtocolError) reason = error.message;
      else if (!isConnectionEnd(error)) reason = error instanceof Error ? error.message : String(error);
    }
    this.#end(reason);
  }

  #answer({ id, status, value }: Response): void {
    const pending = this.#settle(id);
    if (pending === undefined) return;
    if (status === STATUS.ok) return pending.resolve(value);
    const { operation, key } = pending;
    const reason = new TextDecoder().decode(value);
    pending.reject(this.#error(operation, `Cannot ${operation} "${key}" in the job's store: ${reason}`));
  }

  #lostMessage(operation: string, key: string, reason: string): string {
    return `Cannot ${operation} "${key}": the connection to the job's store at ${this.#address} is gone (${reason})`;
  }

  #end(reason: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    closeQuietly(this.#connection);
    for (const { operation, key, reject } of this.#pending.values()) {
      reject(this.#error(operation, this.#lostMessage(operation, key, reason)));
    }
    this.#pending.clear();
  }
}
