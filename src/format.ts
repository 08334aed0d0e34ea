/**
 * Tensors as text, as PyTorch prints them: at most 1,000 elements in full, otherwise three from each end of a dimension.
 *
 * @module
 */
import { hostArray, isFloating } from "./core/dtype.ts";
import { noGrad } from "./core/op.ts";
import { endScope, enterScope } from "./core/scope.ts";
import { cat } from "./ops/cat.ts";
import { cast, readBytes } from "./ops/copy.ts";
import type { Tensor } from "./tensor.ts";

const THRESHOLD = 1000;
const EDGE = 3;
const LINE_WIDTH = 80;
const PRECISION = 4;

/** Python's spelling of a mantissa and an exponent of at least two digits. */
function scientific(value: number): string {
  return value.toExponential(PRECISION).replace(/e([+-])(\d)$/, "e$10$2");
}

function special(value: number): string {
  return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

/** How all elements of a tensor are written, chosen from those that are shown. */
function chooseFormat(values: readonly number[], isFloat: boolean, isBool: boolean): (value: number) => string {
  if (isBool) return (value) => value === 0 ? "False" : "True";
  if (!isFloat) return String;
  const magnitudes = values.filter((value) => Number.isFinite(value) && value !== 0).map(Math.abs);
  const largest = Math.max(...magnitudes, -Infinity);
  const smallest = Math.min(...magnitudes, Infinity);
  const isWhole = values.every((value) => !Number.isFinite(value) || Number.isInteger(value));
  const isWide = magnitudes.length > 0 && (largest / smallest > 1000 || largest > 1e8 || (!isWhole && smallest < 1e-4));
  const finite = isWide
    ? scientific
    : isWhole
    ? (value: number): string => `${Object.is(value, -0) ? "-0" : value}.`
    : (value: number): string => (Object.is(value, -0) ? "-0.0000" : value.toFixed(PRECISION));
  return (value) => Number.isFinite(value) ? finite(value) : special(value);
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

function readValues(select: (x: Tensor) => Tensor, tensor: Tensor): number[] {
  const scope = enterScope("the end of toString()");
  try {
    return noGrad(() => {
      const shown = select(tensor.detach());
      const readable = shown.dtype === "bfloat16" ? cast(shown, "float32") : shown;
      return Array.from(hostArray(readable.dtype, readBytes(readable)), Number);
    });
  } finally {
    endScope(scope);
  }
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
  const close = (body: string): string => `tensor(${[body, ...suffixes].join(", ")})`;
  if (tensor.size === 0) return close("[]");

  const summarized = tensor.size > THRESHOLD;
  const values = readValues(summarized ? edges : (x) => x, tensor);
  const format = chooseFormat(values, isFloating(dtype), dtype === "bool");
  if (shape.length === 0) return close(format(values[0]));
  const texts = values.map(format);
  const width = Math.max(...texts.map((text) => text.length));
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
  return close(build(0, "tensor(".length));
}
