import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  ANSWER_BYTES,
  CHALLENGE_BYTES,
  createAnswer,
  createChallenge,
  createProof,
  decodeCounter,
  decodeRequest,
  decodeResponse,
  encodeCounter,
  encodeKey,
  encodeRequest,
  encodeResponse,
  importSecret,
  MAX_FRAME_BYTES,
  MAX_KEY_BYTES,
  OPERATION,
  type Operation,
  ProtocolError,
  verifyAnswer,
  verifyProof,
} from "../../src/distributed/store_protocol.ts";
import { FrameReader } from "../../src/distributed/store_stream.ts";

let state = 20240607;
/** A whole number from 0 to limit - 1, the same in every run. */
function random(limit: number): number {
  state = (state * 48271) % 2147483647;
  return state % limit;
}

function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: count }, () => random(256));
}

function lengthPrefix(count: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, count, true);
  return bytes;
}

Deno.test("requests and responses survive the wire, however it cuts them", () => {
  const names = Object.keys(OPERATION) as Operation[];
  for (let round = 0; round < 200; round++) {
    const requests = Array.from({ length: 1 + random(5) }, () => ({
      operation: names[random(names.length)],
      id: random(2 ** 31),
      key: ["", "key", "größe/✓", "x".repeat(MAX_KEY_BYTES)][random(4)],
      value: randomBytes(random(3) === 0 ? random(5000) : random(20)),
    }));
    const wire = requests.flatMap(({ operation, id, key, value }) => [
      ...encodeRequest(operation, id, encodeKey(key), value),
    ]);
    const reader = new FrameReader();
    const decoded = [];
    for (let start = 0; start < wire.length;) {
      const end = start + 1 + random(round % 2 === 0 ? 7 : 4000);
      decoded.push(...reader.push(Uint8Array.from(wire.slice(start, end))).map(decodeRequest));
      start = end;
    }
    assertEquals(decoded, requests);
  }
  const [frame] = new FrameReader().push(encodeResponse(0xffffffff, 1, Uint8Array.of(1, 2)));
  assertEquals(decodeResponse(frame), { id: 0xffffffff, status: 1, value: Uint8Array.of(1, 2) });
});

Deno.test("random bytes are frames, or a ProtocolError, and nothing else", () => {
  let rejected = 0;
  let decoded = 0;
  for (let round = 0; round < 20_000; round++) {
    const body = randomBytes(random(40));
    // Half of the rounds look like a request, so that the fuzzer gets past the first checks.
    if (body.length > 7 && round % 2 === 0) {
      body[0] = 1 + random(7);
      body[5] = random(40);
      body[6] = 0;
      for (let index = 7; index < body.length; index++) body[index] &= 0x7f;
    }
    try {
      const { key, value } = decodeRequest(body);
      assert(encodeKey(key).length + value.length === body.length - 7);
      decoded++;
    } catch (error) {
      assert(error instanceof ProtocolError, String(error));
      rejected++;
    }
  }
  assert(rejected > 1000 && decoded > 1000, `${rejected} ${decoded}`);
  for (let round = 0; round < 2000; round++) {
    const reader = new FrameReader();
    try {
      for (let piece = 0; piece < 10; piece++) reader.push(randomBytes(random(100)));
    } catch (error) {
      assert(error instanceof ProtocolError, String(error));
    }
  }
});

Deno.test("a frame that announces too much is refused before it is stored", () => {
  assertEquals(new FrameReader().push(lengthPrefix(MAX_FRAME_BYTES)), []);
  assertThrows(() => new FrameReader().push(lengthPrefix(MAX_FRAME_BYTES + 1)), ProtocolError, "announces");
  assertThrows(() => new FrameReader().push(new TextEncoder().encode("GET / HTTP/1.1\r\n")), ProtocolError);
  assertThrows(() => decodeRequest(new Uint8Array(0)), ProtocolError);
  assertThrows(() => decodeResponse(new Uint8Array(4)), ProtocolError);
  const notUtf8 = encodeRequest("get", 1, Uint8Array.of(0xff, 0xfe), new Uint8Array(0));
  assertThrows(() => decodeRequest(notUtf8.slice(4)), ProtocolError, "UTF-8");
});

Deno.test("counters are 64-bit integers", () => {
  for (const count of [0, 1, -1, 2 ** 40, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER]) {
    assertEquals(decodeCounter(encodeCounter(count)), count);
  }
  assertEquals(decodeCounter(new Uint8Array(7)), undefined);
  assertEquals(decodeCounter(new Uint8Array(8).fill(0x7f)), undefined, "beyond what a number holds exactly");
});

Deno.test("both sides prove the secret, and a proof is good for one connection and one side", async () => {
  const [key, other] = await Promise.all([importSecret("secret"), importSecret("another")]);
  const challenge = createChallenge();
  const answer = await createAnswer(key, challenge);
  const proof = await createProof(key, challenge, answer);
  assertEquals([challenge.length, answer.length], [CHALLENGE_BYTES, ANSWER_BYTES]);
  assert(await verifyAnswer(key, challenge, answer));
  assert(await verifyProof(key, challenge, answer, proof));

  assert(!await verifyAnswer(other, challenge, answer), "another secret");
  assert(!await verifyAnswer(key, createChallenge(), answer), "replayed");
  assert(!await verifyProof(other, challenge, answer, proof), "another secret");
  assert(!await verifyProof(key, challenge, answer, answer.slice(CHALLENGE_BYTES)), "the client's own proof sent back");
  for (const index of [4, CHALLENGE_BYTES - 1, CHALLENGE_BYTES, ANSWER_BYTES - 1]) {
    const changed = answer.slice();
    changed[index] ^= 1;
    assert(!await verifyAnswer(key, challenge, changed), `byte ${index} changed`);
  }
});
