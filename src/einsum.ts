/**
 * Sums of products in Einstein's notation, as `torch.einsum`: by permutations, reshapes and matrix products.
 *
 * @module
 */
import { isFloating, promote } from "./core/dtype.ts";
import { ShapeError } from "./core/errors.ts";
import { formatShape, sizeOf } from "./core/shape.ts";
import { diagonal } from "./ops/window.ts";
import type { Tensor } from "./tensor.ts";

/** A tensor whose dimensions have labels: letters, and `.0`, `.1`, ... for those of an ellipsis, counted from the last. */
interface Labelled {
  readonly tensor: Tensor;
  readonly labels: readonly string[];
}

function refuse(equation: string, rule: string): never {
  throw new ShapeError(`Cannot compute einsum "${equation}": ${rule}`);
}

/** The labels of one side's term; `"..."` stands for all dimensions of an ellipsis. */
function parseTerm(equation: string, term: string, what: string): string[] {
  const labels: string[] = [];
  for (let i = 0; i < term.length; i++) {
    const character = term[i];
    if (character === " ") continue;
    if (term.startsWith("...", i)) {
      if (labels.includes("...")) refuse(equation, `${what} must have at most one ellipsis`);
      labels.push("...");
      i += 2;
    } else if (/[a-zA-Z]/.test(character)) {
      labels.push(character);
    } else {
      refuse(equation, `subscripts must be letters or one ellipsis "...", got "${character}" in ${what}`);
    }
  }
  return labels;
}

/** Labels of the ellipsis over `count` dimensions: the last is `.0`, so that shorter ones line up at the end. */
function ellipsisLabels(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `.${count - 1 - i}`);
}

/** Gives each dimension its label, and takes the diagonal of dimensions that share one. */
function label(equation: string, tensor: Tensor, term: string, index: number): Labelled {
  const what = `operand ${index}`;
  const parsed = parseTerm(equation, term, what);
  const at = parsed.indexOf("...");
  const hidden = tensor.shape.length - (parsed.length - (at < 0 ? 0 : 1));
  if (hidden < 0 || (at < 0 && hidden > 0)) {
    refuse(
      equation,
      `${what} must have ${at < 0 ? "" : "at least "}${parsed.length - (at < 0 ? 0 : 1)} dimensions, got ${
        formatShape(tensor.shape)
      }`,
    );
  }
  let labels = at < 0 ? parsed : parsed.toSpliced(at, 1, ...ellipsisLabels(hidden));
  let out = tensor;
  for (const name of new Set(labels)) {
    while (true) {
      const first = labels.indexOf(name);
      const last = labels.lastIndexOf(name);
      if (first === last) break;
      if (out.shape[first] !== out.shape[last]) {
        refuse(
          equation,
          `sizes of the repeated subscript ${name} of ${what} must be equal, got ${out.shape[first]} and ${
            out.shape[last]
          }`,
        );
      }
      out = diagonal(out, { dim1: first, dim2: last });
      labels = [...labels.filter((_, i) => i !== first && i !== last), name];
    }
  }
  return { tensor: out, labels };
}

/** The output's labels: those after `->`, or the ellipsis and then every letter that occurs once, in alphabetical order. */
function outputLabels(equation: string, output: string | undefined, inputs: string[], ellipsis: number): string[] {
  const hidden = ellipsisLabels(ellipsis);
  if (output === undefined) {
    const letters = inputs.join("").replace(/[^a-zA-Z]/g, "");
    const once = [...new Set(letters)].filter((name) => letters.indexOf(name) === letters.lastIndexOf(name));
    return [...hidden, ...once.sort()];
  }
  const labels = parseTerm(equation, output, "the output");
  for (const name of labels) {
    if (labels.indexOf(name) !== labels.lastIndexOf(name)) {
      refuse(equation, `subscript ${name} must appear once in the output`);
    }
    if (name !== "..." && !inputs.some((term) => term.includes(name))) {
      refuse(equation, `the output's subscript ${name} must appear in an operand`);
    }
  }
  const at = labels.indexOf("...");
  return at < 0 ? labels : labels.toSpliced(at, 1, ...hidden);
}

/** Sizes of a label must be equal, or 1, which broadcasts. */
function checkSizes(equation: string, operands: readonly Labelled[]): void {
  const sizes = new Map<string, number>();
  for (const { tensor, labels } of operands) {
    labels.forEach((name, i) => {
      const known = sizes.get(name) ?? 1;
      const size = tensor.shape[i];
      if (known !== 1 && size !== 1 && known !== size) {
        refuse(equation, `sizes of subscript ${name} must be equal or 1, got ${known} and ${size}`);
      }
      sizes.set(name, known === 1 ? size : known);
    });
  }
}

/** Sums over the labels that nobody else has. */
function summed({ tensor, labels }: Labelled, needed: (name: string) => boolean): Labelled {
  const gone = labels.flatMap((name, i) => needed(name) ? [] : [i]);
  if (gone.length === 0) return { tensor, labels };
  return { tensor: tensor.sum({ dim: gone }), labels: labels.filter(needed) };
}

/** Dimensions in the order of the labels. */
function ordered({ tensor, labels }: Labelled, order: readonly string[]): Tensor {
  const dims = order.map((name) => labels.indexOf(name));
  return dims.every((dim, i) => dim === i) ? tensor : tensor.permute(dims);
}

/** One dimension for each group of labels. */
function grouped(operand: Labelled, groups: readonly (readonly string[])[]): Tensor {
  const { tensor, labels } = operand;
  const order = groups.flat();
  const out = ordered(operand, order);
  if (groups.every((group) => group.length === 1)) return out;
  return out.reshape(groups.map((group) => sizeOf(group.map((name) => tensor.shape[labels.indexOf(name)]))));
}

/** Without the labels of size 1 that the other operand has in full: these broadcast, and belong to the other alone. */
function narrowed({ tensor, labels }: Labelled, other: Labelled): Labelled {
  const broadcasts = (name: string, i: number): boolean =>
    tensor.shape[i] === 1 && other.labels.includes(name) && other.tensor.shape[other.labels.indexOf(name)] !== 1;
  const kept = labels.filter((name, i) => !broadcasts(name, i));
  if (kept.length === labels.length) return { tensor, labels };
  return { tensor: tensor.reshape(kept.map((name) => tensor.shape[labels.indexOf(name)])), labels: kept };
}

/** The product of two operands, summed over the labels that are not needed any more. */
function contract(x: Labelled, y: Labelled, needed: (name: string) => boolean): Labelled {
  const left = narrowed(x, y);
  const right = narrowed(y, x);
  const a = summed(left, (name) => needed(name) || right.labels.includes(name));
  const b = summed(right, (name) => needed(name) || a.labels.includes(name));
  const shared = a.labels.filter((name) => b.labels.includes(name));
  const rows = a.labels.filter((name) => !shared.includes(name));
  const cols = b.labels.filter((name) => !shared.includes(name));
  const batch = shared.filter(needed);
  const inner = shared.filter((name) => !needed(name));
  const labels = [...batch, ...rows, ...cols];
  if (inner.length === 0 || !isFloating(promote(a.tensor.dtype, b.tensor.dtype))) {
    // Nothing to sum, or integers, whose sums are exact: a product with broadcasting.
    const all = [...labels, ...inner];
    const aligned = ({ tensor, labels: own }: Labelled): Tensor => {
      const present = all.filter((name) => own.includes(name));
      const shape = all.map((name) => own.includes(name) ? tensor.shape[own.indexOf(name)] : 1);
      return ordered({ tensor, labels: own }, present).reshape(shape);
    };
    return summed({ tensor: aligned(a).mul(aligned(b)), labels: all }, needed);
  }
  const lead = batch.length === 0 ? [] : [batch];
  const out = grouped(a, [...lead, rows, inner]).matmul(grouped(b, [...lead, inner, cols]));
  const shape = labels.map((name) => {
    const at = a.labels.indexOf(name);
    return at >= 0 ? a.tensor.shape[at] : b.tensor.shape[b.labels.indexOf(name)];
  });
  const isPlain = shape.length === out.shape.length && shape.every((size, i) => size === out.shape[i]);
  return { tensor: isPlain ? out : out.reshape(shape), labels };
}

/**
 * Sums products of tensors over the subscripts that the output does not name: `torch.einsum`. Each dimension has a letter; `...` stands for
 * any further ones, which broadcast; a letter that one operand has twice takes the diagonal. Without `->` the output has the dimensions
 * of the ellipsis and then the letters that occur once, in alphabetical order. Spaces do not count. Several operands are multiplied from
 * left to right.
 *
 * Shapes: sizes of a letter are equal or 1. Dtypes are promoted. Gradients flow to all floating operands.
 *
 * @throws {ShapeError} When the equation is malformed, or does not fit the operands.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { einsum, tensor } from "../mod.ts";
 * const a = tensor([[1, 2], [3, 4]]);
 * assert(einsum("ij,jk->ik", a, a).allClose(a.matmul(a)));
 * assert(einsum("ii", a).item() === 5);
 * assert(einsum("...j->...", a).toArray().toString() === "3,7");
 * ```
 */
export function einsum(equation: string, ...tensors: Tensor[]): Tensor {
  const [left, output, ...rest] = equation.split("->");
  if (rest.length > 0) refuse(equation, `there must be at most one "->"`);
  const terms = left.split(",");
  if (terms.length !== tensors.length) {
    refuse(equation, `there must be as many operands as terms, got ${tensors.length} and ${terms.length}`);
  }
  const operands = tensors.map((tensor, i) => label(equation, tensor, terms[i], i));
  const ellipsis = Math.max(...operands.map(({ labels }) => labels.filter((name) => name[0] === ".").length));
  const wanted = outputLabels(equation, output, terms, ellipsis);
  checkSizes(equation, operands);
  let result = operands[0];
  for (let i = 1; i < operands.length; i++) {
    const needed = (name: string): boolean =>
      wanted.includes(name) || operands.slice(i + 1).some(({ labels }) => labels.includes(name));
    result = contract(result, operands[i], needed);
  }
  result = summed(result, (name) => wanted.includes(name));
  // An ellipsis that only the output has, and labels of size 1 that broadcast, are all there by now.
  return ordered(result, wanted);
}
