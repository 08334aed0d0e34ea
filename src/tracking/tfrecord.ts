/**
 * TFRecord framing and the few protocol buffers that TensorBoard reads.
 *
 * A record is: u64 length, masked CRC32C of the length, the data, masked CRC32C of the data; little-endian.
 * Source: https://www.tensorflow.org/tutorials/load_data/tfrecord, event.proto and summary.proto of TensorBoard
 *
 * @module
 */

type Bytes = Uint8Array<ArrayBuffer>;

/** Castagnoli's polynomial, bits reversed. */
const POLYNOMIAL = 0x82f63b78;
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc;
});

/** CRC32C of some bytes. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]) & 0xff];
  return (crc ^ 0xffffffff) >>> 0;
}

/** TFRecord's way to keep a checksum of data that holds checksums from being trivial. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** A record around some data. */
export function frameRecord(data: Uint8Array): Bytes {
  const record = new Uint8Array(16 + data.length);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return record;
}

/** Appends the fields of one message. */
class Message {
  readonly #bytes: number[] = [];

  #varint(value: bigint): void {
    let rest = BigInt.asUintN(64, value);
    for (; rest >= 0x80n; rest >>= 7n) this.#bytes.push(Number(rest & 0x7fn) | 0x80);
    this.#bytes.push(Number(rest));
  }

  #key(field: number, wireType: number): void {
    this.#varint(BigInt((field << 3) | wireType));
  }

  int(field: number, value: number): this {
    this.#key(field, 0);
    this.#varint(BigInt(value));
    return this;
  }

  double(field: number, value: number): this {
    this.#key(field, 1);
    this.#bytes.push(...new Uint8Array(new Float64Array([value]).buffer));
    return this;
  }

  float(field: number, value: number): this {
    this.#key(field, 5);
    this.#bytes.push(...new Uint8Array(new Float32Array([value]).buffer));
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.#key(field, 2);
    this.#varint(BigInt(value.length));
    for (const byte of value) this.#bytes.push(byte);
    return this;
  }

  text(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.encode());
  }

  encode(): Bytes {
    return Uint8Array.from(this.#bytes);
  }
}

/** The first event of a file. */
export function versionEvent(wallTime: number): Bytes {
  return new Message().double(1, wallTime).text(3, "brain.Event:2").encode();
}

function event(wallTime: number, step: number, values: readonly Message[]): Bytes {
  const summary = new Message();
  for (const value of values) summary.message(1, value);
  const out = new Message().double(1, wallTime);
  // As protobuf does, a zero is left out.
  if (step !== 0) out.int(2, step);
  return out.message(5, summary).encode();
}

/** Numbers of one step. */
export function scalarEvent(wallTime: number, step: number, scalars: readonly (readonly [string, number])[]): Bytes {
  return event(wallTime, step, scalars.map(([tag, value]) => new Message().text(1, tag).float(2, value)));
}

/** A text of one step, in Markdown. */
export function textEvent(wallTime: number, step: number, tag: string, text: string): Bytes {
  const plugin = new Message().text(1, "text");
  // A tensor of type string (7) and of shape [1].
  const shape = new Message().message(2, new Message().int(1, 1));
  const tensor = new Message().int(1, 7).message(2, shape).text(8, text);
  const value = new Message().text(1, `${tag}/text_summary`).message(8, tensor).message(
    9,
    new Message().message(1, plugin),
  );
  return event(wallTime, step, [value]);
}
