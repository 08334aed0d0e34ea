/**
 * A model whose output layer has the weight of its embedding.
 *
 * @module
 */
import { nn, type Tensor } from "../../mod.ts";

/** Two names in the state dict, (5, 3), one tensor. */
export class Tied extends nn.Module {
  readonly embedding = new nn.Embedding(5, 3);
  readonly head = new nn.Linear(3, 5, { bias: false });
  constructor() {
    super();
    Object.assign(this.head, { weight: this.embedding.weight });
  }
  override forward(x: Tensor): Tensor {
    return this.head.forward(this.embedding.forward(x));
  }
}
