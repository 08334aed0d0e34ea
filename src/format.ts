/**
 * Tensors as text, as PyTorch prints them: at most 1,000 elements in full, otherwise three from each end of a dimension.
 *
 * @module
 */
import { type DType, hostArray, isFloating } from "./core/dtype.ts";
import { noGrad } from "./core/op.ts";
import { endScope, enterScope } from "./core/scope.ts";
import { cat } from "./ops/cat.ts";
import { cast, readBytes } from "./ops/copy.ts";
import type { Tensor } from "./tensor.ts";

const THRESHOLD = 1000;
const EDGE = 3;
const LINE_WIDTH = 80;
const INDENT = "tensor(".length;
const PRECISION = 4;

/** How many digits JavaScript can write exactly; the fraction of a number that is shown rarely has as many. */
const EXACT_DIGITS = 100;

/**
 * Rounds to PRECISION digits behind the point, halves to the even digit as Python does: JavaScript rounds them up.
 *
 * @param write `toFixed` or `toExponential` of the number.
 */
function rounded(write: (digits: number) => string): string {
  const exact = write(EXACT_DIGITS);
  const end = exact.indexOf(".") + 1 + PRECISION;
  const [rest, exponent] = exact.slice(end).split("e");
  const isHalf = /^50*$/.test(rest);
  if (!isHalf || Number(exact[end - 1]) % 2 === 1) return write(PRECISION);
  return exact.slice(0, end) + (exponent === undefined ? "" : `e${exponent}`);
}

/** Python's spelling of a mantissa and an exponent of at least two digits. */
function scientific(value: number): string {
  return rounded((digits) => value.toExponential(digits)).replace(/e([+-])(\d)$/, "e$10$2");
}

function special(value: number): string {
  return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

/** How all elements of a tensor are written. */
interface Format {
  write(value: number | bigint): string;
  /** To which texts are padded. Only finite numbers that are not zero count, so others may be wider. */
  readonly width: number;
}

function widest(texts: string[]): number {
  return Math.max(1, ...texts.map((text) => text.length));
}

/** The format, chosen from the elements that are shown. */
function chooseFormat(values: readonly (number | bigint)[], dtype: DType): Format {
  if (!isFloating(dtype)) {
    const write = dtype === "bool" ? (value: number | bigint): string => value === 0 ? "False" : "True" : String;
    return { write, width: widest(values.map(write)) };
  }
  const counted = values.map(Number).filter((value) => Number.isFinite(value) && value !== 0);
  const largest = Math.max(...counted.map(Math.abs), -Infinity);
  const smallest = Math.min(...counted.map(Math.abs), Infinity);
  const isWhole = counted.every(Number.isInteger);
  const isWide = counted.length > 0 && (largest / smallest > 1000 || largest > 1e8 || smallest < 1e-4);
  const sign = (value: number): string => Object.is(value, -0) ? "-" : "";
  const finite = isWide
    ? (value: number): string => sign(value) + scientific(value)
    : isWhole
    ? (value: number): string => `${sign(value)}${value}.`
    : (value: number): string => sign(value) + rounded((digits) => value.toFixed(digits));
  const write = (value: number | bigint): string => {
    const number = Number(value);
    return Number.isFinite(number) ? finite(number) : special(number);
  };
  return { write, width: widest(counted.map(write)) };
}

/** Only the elements that will be shown, so that a huge tensor is not transferred whole. */
function edges(x: Tensor): Tensor {
  let out = x;
  for (let dim = 0; dim < x.shape.length; dim++) {
    const size = out.shape[dim];
    if (size <= 2 * EDGE) continue;
    out = cat([out.narrow(dim, 0, EDGE), out.narrow(dim, size - EDGE, EDGE)], { dim });
  }
  return out;
}

function readValues(select: (x: Tensor) => Tensor, tensor: Tensor): (number | bigint)[] {
  const scope = enterScope("the end of toString()");
  try {
    return noGrad(() => {
      const shown = select(tensor.detach());
      const readable = shown.dtype === "bfloat16" ? cast(shown, "float32") : shown;
      return Array.from<number | bigint>(hostArray(readable.dtype, readBytes(readable)));
    });
  } finally {
    endScope(scope);
  }
}

/** Adds what stands behind the elements, on a new line where the last one would become too long. */
function withSuffixes(body: string, suffixes: readonly string[]): string {
  let text = body;
  let lineLength = body.length - body.lastIndexOf("\n") + 1;
  for (const suffix of suffixes) {
    if (lineLength + suffix.length + 2 > LINE_WIDTH) {
      text += `,\n${" ".repeat(INDENT)}${suffix}`;
      lineLength = INDENT + suffix.length;
    } else {
      text += `, ${suffix}`;
      lineLength += suffix.length + 2;
    }
  }
  return `${text})`;
}

/** The text of a tensor. */
export function formatTensor(tensor: Tensor): string {
  const { shape, dtype } = tensor;
  const suffixes: string[] = [];
  if (tensor.size === 0 && shape.length !== 1) suffixes.push(`size=(${shape.join(", ")})`);
  if (dtype !== "float32" && dtype !== "int64" && dtype !== "bool") suffixes.push(`dtype=${dtype}`);
  else if (tensor.size === 0 && dtype !== "float32") suffixes.push(`dtype=${dtype}`);
  if (tensor.device !== "cpu") suffixes.push(`device='${tensor.device}'`);
  if (tensor.requiresGrad) suffixes.push(tensor.isLeaf ? "requiresGrad=true" : `gradFn=<${tensor.node?.op.name}>`);
  const close = (body: string): string => withSuffixes(`tensor(${body}`, suffixes);
  if (tensor.size === 0) return close("[]");

  const summarized = tensor.size > THRESHOLD;
  const values = readValues(summarized ? edges : (x) => x, tensor);
  const { write, width } = chooseFormat(values, dtype);
  if (shape.length === 0) return close(write(values[0]));
  const texts = values.map(write);
  let next = 0;

  const row = (size: number, indent: number): string => {
    const cells: string[] = [];
    const cut = summarized && size > 2 * EDGE;
    for (let i = 0; i < (cut ? 2 * EDGE : size); i++) {
      if (cut && i === EDGE) cells.push(" ...");
      cells.push(texts[next++].padStart(width));
    }
    const perLine = Math.max(1, Math.floor((LINE_WIDTH - indent) / (width + 2)));
    const lines: string[] = [];
    for (let i = 0; i < cells.length; i += perLine) lines.push(cells.slice(i, i + perLine).join(", "));
    return `[${lines.join(`,\n${" ".repeat(indent + 1)}`)}]`;
  };
  const build = (dim: number, indent: number): string => {
    const size = shape[dim];
    if (dim === shape.length - 1) return row(size, indent);
    const parts: string[] = [];
    const cut = summarized && size > 2 * EDGE;
    for (let i = 0; i < (cut ? 2 * EDGE : size); i++) {
      if (cut && i === EDGE) parts.push("...");
      parts.push(build(dim + 1, indent + 1));
    }
    return `[${parts.join(`,${"\n".repeat(shape.length - 1 - dim)}${" ".repeat(indent + 1)}`)}]`;
  };
  return close(build(0, INDENT));
}
