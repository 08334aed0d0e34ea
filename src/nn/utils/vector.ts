/**
 * Parameters as one vector, as `torch.nn.utils.parameters_to_vector`.
 *
 * @module
 */
import { ShapeError } from "../../core/errors.ts";
import { noGrad } from "../../core/op.ts";
import { cat } from "../../ops/cat.ts";
import type { Tensor } from "../../tensor.ts";
import { tidy } from "../../tidy.ts";

/** All elements of all parameters, one after another; gradients flow through it. */
export function parametersToVector(parameters: Iterable<Tensor>): Tensor {
  return cat(Array.from(parameters, (parameter) => parameter.reshape([-1])));
}

/**
 * Copies the elements of a vector into parameters, one after another.
 *
 * @throws {ShapeError} When the vector has not as many elements as the parameters; then nothing was changed.
 */
export function vectorToParameters(vector: Tensor, parameters: Iterable<Tensor>): void {
  const list = [...parameters];
  const total = list.reduce((sum, { size }) => sum + size, 0);
  if (vector.shape.length !== 1 || vector.size !== total) {
    throw new ShapeError(
      `Cannot copy a vector of shape (${
        vector.shape.join(", ")
      }) into parameters of ${total} elements: its shape must be (${total})`,
    );
  }
  noGrad(() =>
    tidy(() => {
      let at = 0;
      for (const parameter of list) {
        parameter.copy_(vector.narrow(0, at, parameter.size).reshape(parameter.shape));
        at += parameter.size;
      }
    })
  );
}
