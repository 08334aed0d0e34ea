import { assertEquals } from "@std/assert";
import {
  crc32c,
  frameRecord,
  maskedCrc32c,
  scalarEvent,
  textEvent,
  versionEvent,
} from "../../src/tracking/tfrecord.ts";
import golden from "../golden/tfevents.json" with { type: "json" };

Deno.test("CRC32C has the check values of its standard", () => {
  assertEquals(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  // RFC 3720, B.4: 32 bytes of zeros, of ones, ascending.
  assertEquals(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assertEquals(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43);
  assertEquals(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
  assertEquals(maskedCrc32c(new Uint8Array(0)), 0xa282ead8);
});

Deno.test("events have the bytes that TensorBoard's own writer gives them", () => {
  const time = 1700000000.25;
  const events: Record<keyof typeof golden, Uint8Array> = {
    "version": versionEvent(time),
    "scalars": scalarEvent(time, 300, [["loss", 0.5], ["accuracy", -1.25]]),
    "step 0": scalarEvent(time, 0, [["loss", 3]]),
    "text": textEvent(time, 7, "notes", "**hello** é"),
  };
  for (const [name, hex] of Object.entries(golden)) {
    assertEquals(frameRecord(events[name as keyof typeof golden]).toHex(), hex, name);
  }
});
