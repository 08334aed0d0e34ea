/**
 * Sizes as people write them.
 *
 * @module
 */

const UNITS: Readonly<Record<string, number>> = {
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
};

/**
 * Bytes of a size such as "5GB", "512KiB" or "1.5GB"; a number stays what it is. As in Accelerate a small b means bits: "1Gb" is 125 MB.
 *
 * @throws {RangeError} When it is not understood or negative.
 */
export function parseByteSize(size: number | string): number {
  if (typeof size === "number") {
    if (size >= 0 && Number.isFinite(size)) return Math.floor(size);
  } else {
    const [, digits, unit] = /^\s*(\d+(?:\.\d*)?|\.\d+)\s*([KMG]i?B)\s*$/i.exec(size) ?? [];
    if (unit !== undefined) {
      const bytes = Math.floor(Number(digits) * UNITS[unit.toUpperCase()]);
      return unit.length === 2 && unit.endsWith("b") ? Math.floor(bytes / 8) : bytes;
    }
  }
  throw new RangeError(
    `Cannot read the size ${JSON.stringify(size)}: write a number of bytes, or for example "5GB" or "512KiB"`,
  );
}
