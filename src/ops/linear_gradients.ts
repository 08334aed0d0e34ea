/**
 * Gradients of the parameters of linear layers. They go straight into the flat gradients where a parameter has a place there.
 *
 * @module
 */
import { REDUCE } from "../../ffi/op_ids.ts";
import { type Gradient, type Node, WRITTEN } from "../core/node.ts";
import { empty } from "../core/op.ts";
import type { Tensor } from "../tensor.ts";
import { productInto, TN } from "./product.ts";
import { reshapeView } from "./raw_view.ts";
import { reduceInto } from "./reduce.ts";

const ROWS = [0];

/** The parameter's place in the flat gradients, when it has one of the gradient's dtype. */
function sinkOf(node: Node, index: number, gradient: Tensor): Tensor | null {
  const sink = node.sink(index);
  return sink !== null && sink.dtype === gradient.dtype ? sink : null;
}

/** The gradient of the weight that is input `index` of a node: g^T x, of all rows. */
export function weightGradient(node: Node, index: number, g: Tensor, x: Tensor): Gradient {
  if (!node.needs(index)) return null;
  const sink = sinkOf(node, index, g);
  const out = sink ?? empty(g.storage.device, node.inputShapes[index], g.dtype, "grad");
  productInto(out, g, x, TN, sink === null ? 0 : node.sinkBeta(index));
  return sink === null ? out : WRITTEN;
}

/** The gradient of the bias that is input `index` of a node: the sum over all rows of a contiguous gradient. */
export function biasGradient(node: Node, index: number, g: Tensor): Gradient {
  if (!node.needs(index)) return null;
  const n = node.inputShapes[index][0];
  const rows = g.shape.length === 2 ? g : reshapeView(g, [g.size / Math.max(n, 1), n], "grad");
  const sink = sinkOf(node, index, g);
  const out = sink ?? empty(g.storage.device, node.inputShapes[index], g.dtype, "grad");
  reduceInto(out, REDUCE.sum, rows, ROWS, 1, sink === null ? 0 : node.sinkBeta(index));
  return sink === null ? out : WRITTEN;
}
