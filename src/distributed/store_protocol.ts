/**
 * The wire format of the key-value store: a mutual proof of the job's secret, then length-prefixed binary frames.
 *
 * Handshake (fixed sizes, so that nothing a stranger sends is ever buffered):
 * 1. server: magic (4), nonce (32)
 * 2. client: magic (4), nonce (32), HMAC-SHA256(secret, "client" + server nonce + client nonce)
 * 3. server: HMAC-SHA256(secret, "server" + server nonce + client nonce)
 *
 * Frame: u32 byte count of what follows, then
 * - request: u8 operation, u32 id, u16 key bytes, key, value
 * - response: u32 id, u8 status, value
 *
 * Integers are little-endian. Responses carry the id of their request and may come in any order.
 *
 * @module
 */

/** What a client can ask. The numbers are the wire's. */
export const OPERATION = { set: 1, get: 2, add: 3, delete: 4, wait: 5, cancel: 6 } as const;

/** Name of an operation. */
export type Operation = keyof typeof OPERATION;

/** How a request ended. */
export const STATUS = { ok: 0, error: 1 } as const;

/** Largest frame either side accepts. */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;
/** Longest key in UTF-8. */
export const MAX_KEY_BYTES = 1024;

const MAGIC = new TextEncoder().encode("AXK1");
const NONCE_BYTES = 32;
const MAC_BYTES = 32;
const REQUEST_HEADER_BYTES = 7;
const RESPONSE_HEADER_BYTES = 5;
const LENGTH_BYTES = 4;

/** Bytes of the server's first message. */
export const CHALLENGE_BYTES: number = MAGIC.length + NONCE_BYTES;
/** Bytes of the client's answer. */
export const ANSWER_BYTES: number = CHALLENGE_BYTES + MAC_BYTES;
/** Bytes of the server's proof. */
export const PROOF_BYTES = MAC_BYTES;

type Bytes = Uint8Array<ArrayBuffer>;

const operationNames = new Map<number, Operation>(
  Object.entries(OPERATION).map(([name, code]) => [code, name as Operation]),
);
const encoder = new TextEncoder();
const keyDecoder = new TextDecoder("utf-8", { fatal: true });

/** The peer does not speak this protocol. Its connection is closed; nobody else notices. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** One decoded request. */
export interface Request {
  operation: Operation;
  id: number;
  key: string;
  value: Bytes;
}

/** One decoded response. */
export interface Response {
  id: number;
  status: number;
  value: Bytes;
}

/** The HMAC key of a job's secret. */
export function importSecret(secret: string): Promise<CryptoKey> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign", "verify"]);
}

function concatenate(...parts: Uint8Array[]): Bytes {
  const result = new Uint8Array(parts.reduce((count, part) => count + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}

/** The server's first message, new for every connection. */
export function createChallenge(): Bytes {
  return concatenate(MAGIC, crypto.getRandomValues(new Uint8Array(NONCE_BYTES)));
}

function nonceOf(message: Uint8Array): Uint8Array {
  if (MAGIC.some((byte, index) => message[index] !== byte)) {
    throw new ProtocolError("the peer is not a store of this version");
  }
  return message.subarray(MAGIC.length, CHALLENGE_BYTES);
}

function transcript(role: "client" | "server", challenge: Uint8Array, answer: Uint8Array): Bytes {
  return concatenate(encoder.encode(role), nonceOf(challenge), nonceOf(answer));
}

/** The client's message: its own nonce and the proof that it knows the secret. */
export async function createAnswer(key: CryptoKey, challenge: Uint8Array): Promise<Bytes> {
  const hello = createChallenge();
  const mac = await crypto.subtle.sign("HMAC", key, transcript("client", challenge, hello));
  return concatenate(hello, new Uint8Array(mac));
}

/** Whether the client knows the secret. The comparison takes the same time for any wrong proof. */
export function verifyAnswer(key: CryptoKey, challenge: Uint8Array, answer: Bytes): Promise<boolean> {
  const mac = answer.subarray(CHALLENGE_BYTES, ANSWER_BYTES);
  return crypto.subtle.verify("HMAC", key, mac, transcript("client", challenge, answer));
}

/** The server's proof that it knows the secret. */
export async function createProof(key: CryptoKey, challenge: Uint8Array, answer: Uint8Array): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, transcript("server", challenge, answer)));
}

/** Whether the server knows the secret. */
export function verifyProof(key: CryptoKey, challenge: Uint8Array, answer: Uint8Array, proof: Bytes): Promise<boolean> {
  return crypto.subtle.verify("HMAC", key, proof, transcript("server", challenge, answer));
}

/** UTF-8 of a key. */
export function encodeKey(key: string): Bytes {
  return encoder.encode(key);
}

/** A whole request frame. */
export function encodeRequest(operation: Operation, id: number, key: Uint8Array, value: Uint8Array): Bytes {
  const count = REQUEST_HEADER_BYTES + key.length + value.length;
  const frame = new Uint8Array(LENGTH_BYTES + count);
  const view = new DataView(frame.buffer);
  view.setUint32(0, count, true);
  view.setUint8(4, OPERATION[operation]);
  view.setUint32(5, id, true);
  view.setUint16(9, key.length, true);
  frame.set(key, LENGTH_BYTES + REQUEST_HEADER_BYTES);
  frame.set(value, LENGTH_BYTES + REQUEST_HEADER_BYTES + key.length);
  return frame;
}

/**
 * Decodes what {@link FrameReader} returned on the server.
 *
 * @throws {ProtocolError} When it is no request.
 */
export function decodeRequest(frame: Bytes): Request {
  if (frame.length < REQUEST_HEADER_BYTES) throw new ProtocolError(`a request has ${frame.length} bytes`);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const operation = operationNames.get(view.getUint8(0));
  if (operation === undefined) throw new ProtocolError(`unknown operation ${view.getUint8(0)}`);
  const keyBytes = view.getUint16(5, true);
  const keyEnd = REQUEST_HEADER_BYTES + keyBytes;
  if (keyBytes > MAX_KEY_BYTES || keyEnd > frame.length) throw new ProtocolError(`a key has ${keyBytes} bytes`);
  let key: string;
  try {
    key = keyDecoder.decode(frame.subarray(REQUEST_HEADER_BYTES, keyEnd));
  } catch (error) {
    throw new ProtocolError("a key is not UTF-8", { cause: error });
  }
  return { operation, id: view.getUint32(1, true), key, value: frame.slice(keyEnd) };
}

/** A whole response frame. */
export function encodeResponse(id: number, status: number, value: Uint8Array): Bytes {
  const count = RESPONSE_HEADER_BYTES + value.length;
  const frame = new Uint8Array(LENGTH_BYTES + count);
  const view = new DataView(frame.buffer);
  view.setUint32(0, count, true);
  view.setUint32(4, id, true);
  view.setUint8(8, status);
  frame.set(value, LENGTH_BYTES + RESPONSE_HEADER_BYTES);
  return frame;
}

/**
 * Decodes what {@link FrameReader} returned on the client.
 *
 * @throws {ProtocolError} When it is no response.
 */
export function decodeResponse(frame: Bytes): Response {
  if (frame.length < RESPONSE_HEADER_BYTES) throw new ProtocolError(`a response has ${frame.length} bytes`);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  return { id: view.getUint32(0, true), status: view.getUint8(4), value: frame.slice(RESPONSE_HEADER_BYTES) };
}

/** A counter's value: a 64-bit integer, as torch's store has. */
export function encodeCounter(count: number): Bytes {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(count), true);
  return bytes;
}

/** The number of a counter, or `undefined` when the value is not one. */
export function decodeCounter(value: Uint8Array): number | undefined {
  if (value.length !== 8) return undefined;
  const count = Number(new DataView(value.buffer, value.byteOffset, 8).getBigInt64(0, true));
  return Number.isSafeInteger(count) ? count : undefined;
}
