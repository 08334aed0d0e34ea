import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { CollectiveError, LaunchError } from "../../src/core/errors.ts";
import { StoreClient, type StoreConnectOptions } from "../../src/distributed/store.ts";
import {
  ANSWER_BYTES,
  CHALLENGE_BYTES,
  createAnswer,
  createChallenge,
  encodeKey,
  encodeRequest,
  importSecret,
  PROOF_BYTES,
} from "../../src/distributed/store_protocol.ts";
import { createStoreSecret, StoreServer, type StoreServerOptions } from "../../src/distributed/store_server.ts";
import { closeQuietly, isConnectionEnd, readExactly, writeAll } from "../../src/distributed/store_stream.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Uint8Array<ArrayBuffer>): string => new TextDecoder().decode(value);

/** A store and clients of it, closed at the end of the test. */
class Job implements AsyncDisposable {
  readonly secret = createStoreSecret();
  readonly server: StoreServer;
  readonly #clients: StoreClient[] = [];

  constructor(options: Partial<StoreServerOptions> = {}) {
    this.server = StoreServer.listen({ secret: this.secret, ...options });
  }

  async connect(options: Partial<StoreConnectOptions> = {}): Promise<StoreClient> {
    const { hostname, port } = this.server;
    const client = await StoreClient.connect({ hostname, port, secret: this.secret, ...options });
    this.#clients.push(client);
    return client;
  }

  connectAll(count: number): Promise<StoreClient[]> {
    return Promise.all(Array.from({ length: count }, (_, rank) => this.connect({ rank })));
  }

  /** A bare connection of somebody who may not know the protocol. */
  stranger(): Promise<Deno.TcpConn> {
    return Deno.connect({ hostname: this.server.hostname, port: this.server.port });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.server.close();
  }
}

/** Reads until the other side closes; says how many bytes came. */
async function readToEnd(connection: Deno.Conn): Promise<number> {
  const buffer = new Uint8Array(4096);
  let count = 0;
  try {
    for (let read = await connection.read(buffer); read !== null; read = await connection.read(buffer)) count += read;
  } catch (error) {
    if (!isConnectionEnd(error)) throw error;
  }
  closeQuietly(connection);
  return count;
}

Deno.test("set, get, delete", async () => {
  await using job = new Job();
  const [first, second] = await job.connectAll(2);
  await first.set("a", bytes("one"));
  assertEquals(text(await second.get("a")), "one");
  await second.set("a", bytes("two"));
  assertEquals(text(await first.get("a")), "two");
  await first.set("", new Uint8Array(0));
  assertEquals((await second.get("")).length, 0);
  const large = new Uint8Array(5_000_000).map((_, index) => index % 251);
  await first.set("größe", large);
  assertEquals(await second.get("größe"), large);
  assertEquals([await first.delete("a"), await first.delete("a")], [true, false]);
});

Deno.test("get and wait return when somebody sets the key, and meanwhile the connection serves others", async () => {
  await using job = new Job();
  const [first, second] = await job.connectAll(2);
  const waiting = [first.get("late"), first.get("late"), second.get("late")];
  const both = first.wait(["late", "later"]);
  assertEquals(await first.add("counter", 1), 1);
  await second.set("late", bytes("value"));
  assertEquals((await Promise.all(waiting)).map(text), ["value", "value", "value"]);
  await second.add("later", 1);
  await both;
});

Deno.test("add counts every increment once", async () => {
  await using job = new Job();
  const clients = await job.connectAll(4);
  const sums = await Promise.all(clients.flatMap((client) => Array.from({ length: 50 }, () => client.add("n", 1))));
  assertEquals(sums.sort((a, b) => a - b), Array.from({ length: 200 }, (_, index) => index + 1));
  assertEquals(await clients[0].add("n", -300), -100);
  await clients[0].set("text", bytes("not a counter"));
  const error = await assertRejects(() => clients[1].add("text", 1), CollectiveError, "not a counter");
  assertEquals([error.rank, error.op], [1, "store.add"]);
  await assertRejects(() => clients[0].add("n", 0.5), RangeError, "whole number");
});

Deno.test("a wait ends at its time limit, and the connection stays usable", async () => {
  await using job = new Job();
  const client = await job.connect({ rank: 3 });
  const error = await assertRejects(
    () => client.get("never", { timeoutMs: 30 }),
    CollectiveError,
    'No process set "never" in the job\'s store within 0.03 s',
  );
  assertEquals([error.rank, error.op], [3, "store.get"]);
  await client.set("never", bytes("after all"));
  assertEquals(text(await client.get("never")), "after all");
});

Deno.test("a barrier opens when all are there, again and again, and leaves no keys", async () => {
  await using job = new Job();
  const clients = await job.connectAll(3);
  for (let round = 0; round < 5; round++) {
    let passed = 0;
    const early = [0, 1].map((rank) => clients[rank].barrier("b", { rank, worldSize: 3 }).then(() => passed++));
    await clients[0].add("ping", 1);
    assertEquals(passed, 0);
    await clients[2].barrier("b", { rank: 2, worldSize: 3 });
    await Promise.all(early);
  }
  assertEquals(await clients[0].delete("barrier/b/0/open"), false);
  assertEquals(await clients[0].delete("barrier/b/4/rank1"), false);
});

Deno.test("a barrier names who is missing", async () => {
  await using job = new Job();
  const [first, second] = await job.connectAll(2);
  const options = { worldSize: 4, timeoutMs: 50 };
  const results = await Promise.all([
    assertRejects(() => first.barrier("epoch", { rank: 0, ...options }), CollectiveError, "ranks 1, 3 did not"),
    assertRejects(() => second.barrier("epoch", { rank: 2, ...options }), CollectiveError, 'the barrier "epoch"'),
  ]);
  assertEquals(results.map(({ rank }) => rank), [1, 1]);
});

Deno.test("the end of the launcher ends every wait with an error that says so", async () => {
  const job = new Job();
  const client = await job.connect({ rank: 1 });
  const waiting = assertRejects(() => client.get("never"), CollectiveError, "the launcher ended");
  await client.add("ping", 1);
  await job.server.close();
  assertEquals((await waiting).rank, 1);
  await assertRejects(() => client.set("a", bytes("b")), CollectiveError, "is gone");
  await client.close();
  const { hostname, port } = job.server;
  await assertRejects(
    () => StoreClient.connect({ hostname, port, secret: job.secret, timeoutMs: 100 }),
    LaunchError,
    `Cannot reach the store at ${hostname}:${port} within 0.1 s`,
  );
});

Deno.test("close rejects what waits and may be called twice", async () => {
  await using job = new Job();
  const client = await job.connect();
  const waiting = assertRejects(() => client.get("never"), CollectiveError, "closed by this process");
  await client.close();
  await client.close();
  await waiting;
});

Deno.test("without the secret nobody gets in, and the job goes on", async () => {
  await using job = new Job();
  const client = await job.connect();
  await client.set("a", bytes("one"));
  await assertRejects(
    () => job.connect({ secret: createStoreSecret() }),
    LaunchError,
    "its secret differs from ACCELERATE_STORE_SECRET",
  );

  const http = await job.stranger();
  await writeAll(http, bytes(`GET / HTTP/1.1\r\nHost: localhost\r\n${"X: y\r\n".repeat(20)}\r\n`));
  assertEquals(await readToEnd(http), CHALLENGE_BYTES, "a stranger sees a nonce and nothing else");

  const forger = await job.stranger();
  await readExactly(forger, CHALLENGE_BYTES);
  const forged = new Uint8Array(ANSWER_BYTES);
  forged.set(createChallenge());
  await writeAll(forger, forged);
  await writeAll(forger, encodeRequest("set", 1, encodeKey("a"), bytes("forged"))).catch(() => {});
  assertEquals(await readToEnd(forger), 0);

  assertEquals(text(await client.get("a")), "one");
  assertThrows(() => StoreServer.listen({ secret: "" }), LaunchError, "must not be empty");
});

Deno.test("silent strangers are dropped at the deadline, and a flood of them keeps nobody out", async () => {
  await using slow = new Job({ handshakeTimeoutMs: 50 });
  assertEquals(await readToEnd(await slow.stranger()), CHALLENGE_BYTES);

  await using job = new Job();
  const strangers: Deno.TcpConn[] = [];
  for (let index = 0; index < 300; index++) strangers.push(await job.stranger());
  const client = await job.connect();
  assertEquals(await client.add("n", 1), 1);
  for (const stranger of strangers) stranger.close();
});

Deno.test("a process of the job that sends garbage loses its connection; the others notice nothing", async () => {
  await using job = new Job();
  const client = await job.connect();
  const key = await importSecret(job.secret);
  let state = 7;
  const random = (limit: number): number => (state = (state * 48271) % 2147483647) % limit;
  for (let round = 0; round < 60; round++) {
    const peer = await job.stranger();
    const challenge = await readExactly(peer, CHALLENGE_BYTES) ?? new Uint8Array(0);
    await writeAll(peer, await createAnswer(key, challenge));
    assert(await readExactly(peer, PROOF_BYTES) !== undefined);
    const garbage = Uint8Array.from({ length: 4 + random(200) }, () => random(256));
    // Every third frame has an honest length, so that its content is decoded too.
    if (round % 3 === 0) garbage.set([garbage.length - 4, 0, 0, 0]);
    await writeAll(peer, garbage).catch((error) => assert(isConnectionEnd(error)));
    await peer.closeWrite().catch((error) => assert(isConnectionEnd(error)));
    await readToEnd(peer);
  }
  assertEquals(await client.add("n", 1), 1);
});

Deno.test("what listens at the port but is no store is an error that says so", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answered = listener.accept().then(async (connection) => {
    await writeAll(connection, bytes("220 mail.example.org ESMTP ready, glad to meet you"));
    await readToEnd(connection);
  });
  const { port } = listener.addr;
  await assertRejects(
    () => StoreClient.connect({ hostname: "127.0.0.1", port, secret: "s", timeoutMs: 5000 }),
    LaunchError,
    "is not the store of a job",
  );
  await answered;
});

Deno.test("a server that never answers is given up in time", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const error = await assertRejects(
    () => StoreClient.connect({ hostname: "127.0.0.1", port, secret: "s", timeoutMs: 100 }),
    LaunchError,
  );
  assertStringIncludes(error.message, "Cannot reach the store");
});

Deno.test("a port in use is a LaunchError", async () => {
  await using job = new Job();
  const { port } = job.server;
  assertThrows(() => StoreServer.listen({ secret: "s", port }), LaunchError, `Port ${port} on 127.0.0.1 is in use`);
});

Deno.test("keys and values beyond the limits are refused before they are sent", async () => {
  await using job = new Job();
  const client = await job.connect();
  await assertRejects(() => client.get("x".repeat(1025)), RangeError, "at most 1024 bytes");
  await assertRejects(
    () => client.set("a", new Uint8Array(64 * 1024 * 1024)),
    RangeError,
    "Send tensors with a collective",
  );
  assertEquals(await client.add("n", 1), 1);
});
