/**
 * The key-value store that the processes of a job meet in. It runs in the launcher's event loop.
 *
 * @module
 */
import { LaunchError } from "../core/errors.ts";
import {
  ANSWER_BYTES,
  createChallenge,
  createProof,
  decodeCounter,
  decodeRequest,
  encodeCounter,
  encodeResponse,
  importSecret,
  type Request,
  STATUS,
  verifyAnswer,
} from "./store_protocol.ts";
import { closeQuietly, FrameWriter, readExactly, readFrames, writeAll } from "./store_stream.ts";

/** How to open a store. */
export interface StoreServerOptions {
  /** The job's secret. */
  secret: string;
  /** Address to listen on; loopback by default. */
  hostname?: string;
  /** Port to listen on; 0, the default, lets the system choose a free one. */
  port?: number;
  /** How long a new connection may take to prove that it knows the secret. */
  handshakeTimeoutMs?: number;
}

interface Waiter {
  peer: Peer;
  id: number;
  wantsValue: boolean;
}

/** One process that proved the secret. */
class Peer {
  readonly writer: FrameWriter;
  readonly #connection: Deno.Conn;

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
    this.writer = new FrameWriter(connection);
  }

  reply(id: number, status: number, value: Uint8Array): void {
    // A failed write means that the process is gone; its reading side sees that too and cleans up.
    this.writer.send(encodeResponse(id, status, value)).catch(() => closeQuietly(this.#connection));
  }
}

const EMPTY = new Uint8Array(0);
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Connections that have not proved the secret. A flood of strangers closes its own oldest ones. */
const MAX_UNPROVEN = 128;
const ACCEPT_RETRY_MS = 50;

/** A secret of 256 random bits, as text for the environment. */
export function createStoreSecret(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A key-value store on TCP. Keys are text, values are bytes; whoever does not know the secret gets nothing. */
export class StoreServer {
  /** Address it listens on. */
  readonly hostname: string;
  /** Port it listens on. */
  readonly port: number;
  readonly #listener: Deno.TcpListener;
  readonly #key: Promise<CryptoKey>;
  readonly #handshakeTimeoutMs: number;
  readonly #values = new Map<string, Uint8Array>();
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #unproven = new Set<Deno.Conn>();
  readonly #connections = new Set<Deno.Conn>();
  readonly #accepting: Promise<void>;
  #closed = false;

  private constructor(listener: Deno.TcpListener, options: StoreServerOptions) {
    this.hostname = listener.addr.hostname;
    this.port = listener.addr.port;
    this.#listener = listener;
    this.#key = importSecret(options.secret);
    this.#handshakeTimeoutMs = options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS;
    this.#accepting = this.#accept();
  }

  /**
   * Opens a store.
   *
   * @throws {LaunchError} When the address or the port cannot be had.
   */
  static listen(options: StoreServerOptions): StoreServer {
    const { hostname = "127.0.0.1", port = 0, secret } = options;
    if (secret === "") throw new LaunchError("Cannot open the store: the secret must not be empty");
    try {
      return new StoreServer(Deno.listen({ hostname, port }), options);
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) {
        throw new LaunchError(
          `Port ${port} on ${hostname} is in use: choose another --main-process-port, or leave it out to get a free one`,
          { cause: error },
        );
      }
      if (error instanceof Deno.errors.PermissionDenied) {
        throw new LaunchError(`Port ${port} may not be opened by this user: choose a --main-process-port above 1023`, {
          cause: error,
        });
      }
      if (error instanceof Deno.errors.NotCapable) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new LaunchError(
        `Cannot listen on ${hostname}: ${reason}. --main-process-ip must be an address of this machine`,
        {
          cause: error,
        },
      );
    }
  }

  /** Closes all connections and resolves when nothing of the server is left in the event loop. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
    for (const connection of this.#connections) closeQuietly(connection);
    await this.#accepting;
  }

  async #accept(): Promise<void> {
    const serving = new Set<Promise<void>>();
    while (!this.#closed) {
      let connection: Deno.TcpConn;
      try {
        connection = await this.#listener.accept();
      } catch {
        // Closed, or out of file descriptors for a moment: a stranger must not be able to end the store.
        if (!this.#closed) await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
        continue;
      }
      const done = this.#serve(connection).finally(() => serving.delete(done));
      serving.add(done);
    }
    await Promise.all(serving);
  }

  async #serve(connection: Deno.TcpConn): Promise<void> {
    const peer = new Peer(connection);
    this.#connections.add(connection);
    try {
      if (this.#closed) return;
      // Answers are small and awaited: holding them back for fuller packets would cost 40 ms each.
      connection.setNoDelay(true);
      if (!await this.#prove(connection)) return;
      await readFrames(connection, (frame) => this.#handle(peer, decodeRequest(frame)));
    } catch {
      // Garbage, a reset, or a deadline: whatever happens on one connection ends that connection and nothing else.
    } finally {
      this.#connections.delete(connection);
      closeQuietly(connection);
      this.#forget(peer);
    }
  }

  /** The handshake. Whoever is too slow, sends garbage, or does not know the secret is dropped without an answer. */
  async #prove(connection: Deno.Conn): Promise<boolean> {
    this.#unproven.add(connection);
    if (this.#unproven.size > MAX_UNPROVEN) {
      const [oldest] = this.#unproven;
      this.#unproven.delete(oldest);
      closeQuietly(oldest);
    }
    const deadline = setTimeout(() => closeQuietly(connection), this.#handshakeTimeoutMs);
    try {
      const key = await this.#key;
      const challenge = createChallenge();
      await writeAll(connection, challenge);
      const answer = await readExactly(connection, ANSWER_BYTES);
      if (answer === undefined || !await verifyAnswer(key, challenge, answer)) return false;
      await writeAll(connection, await createProof(key, challenge, answer));
      return true;
    } finally {
      clearTimeout(deadline);
      this.#unproven.delete(connection);
    }
  }

  #handle(peer: Peer, { operation, id, key, value }: Request): void {
    const current = this.#values.get(key);
    switch (operation) {
      case "set":
        this.#set(key, value);
        return peer.reply(id, STATUS.ok, EMPTY);
      case "get":
      case "wait": {
        const wantsValue = operation === "get";
        if (current !== undefined) return peer.reply(id, STATUS.ok, wantsValue ? current : EMPTY);
        const waiters = this.#waiters.get(key) ?? new Set();
        this.#waiters.set(key, waiters.add({ peer, id, wantsValue }));
        return;
      }
      case "add": {
        const sum = decodeCounter(current ?? encodeCounter(0));
        const increment = decodeCounter(value);
        if (sum === undefined || increment === undefined || !Number.isSafeInteger(sum + increment)) {
          return peer.reply(id, STATUS.error, new TextEncoder().encode("the key holds a value that is not a counter"));
        }
        const counter = encodeCounter(sum + increment);
        this.#set(key, counter);
        return peer.reply(id, STATUS.ok, counter);
      }
      case "delete":
        return peer.reply(id, STATUS.ok, encodeCounter(this.#values.delete(key) ? 1 : 0));
      case "cancel":
        return this.#drop(key, (waiter) => waiter.peer === peer && waiter.id === id);
    }
  }

  #set(key: string, value: Uint8Array): void {
    this.#values.set(key, value);
    for (const { peer, id, wantsValue } of this.#waiters.get(key) ?? []) {
      peer.reply(id, STATUS.ok, wantsValue ? value : EMPTY);
    }
    this.#waiters.delete(key);
  }

  #drop(key: string, matches: (waiter: Waiter) => boolean): void {
    const waiters = this.#waiters.get(key);
    if (waiters === undefined) return;
    for (const waiter of waiters) if (matches(waiter)) waiters.delete(waiter);
    if (waiters.size === 0) this.#waiters.delete(key);
  }

  #forget(peer: Peer): void {
    for (const key of [...this.#waiters.keys()]) this.#drop(key, (waiter) => waiter.peer === peer);
  }
}
