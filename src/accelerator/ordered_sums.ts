/**
 * Gradients added up in the order of the samples, one part of a step after the other. The sum has the same bits whichever rank computed
 * which part; for that all ranks exchange the gradients of every part.
 *
 * @module
 */
import { noGrad, tensorOver } from "../core/op.ts";
import type { ProcessGroup } from "../distributed/process_group.ts";
import { copied, copyInto, fillInto } from "../ops/launch.ts";
import type { FlatBuffer } from "../optim/flat.ts";
import type { Tensor } from "../tensor.ts";
import { tidy } from "../tidy.ts";

function wordOf({ gradients }: FlatBuffer, index: number): Tensor {
  gradients.storage.retain();
  return tensorOver(gradients.storage, [1], index, gradients.dtype, "used");
}

/** Notes in front of the gradients which parameters have one; the others get zeros. */
function markUsed(buffer: FlatBuffer): void {
  buffer.parameters.forEach((parameter, i) => {
    const slot = parameter.gradSlot!;
    fillInto(wordOf(buffer, i), parameter.grad === null ? 0 : 1);
    if (parameter.grad === null) fillInto(slot, 0);
    else if (parameter.grad !== slot) {
      copyInto(slot, parameter.grad);
      parameter.grad.dispose();
    }
    parameter.grad = null;
  });
}

/**
 * Takes the sum so far out of a buffer, so that the next backward pass begins with nothing.
 *
 * @param buffer Whose gradients.
 * @param isOpen Whether they are a sum that is to be continued.
 * @returns The sum, with its words; null for none.
 */
export function takeSum(buffer: FlatBuffer, isOpen: boolean): Tensor | null {
  const hasSum = isOpen && buffer.parameters.some(({ grad }) => grad !== null);
  return noGrad(() => {
    markUsed(buffer);
    return hasSum ? copied(buffer.gradients, "sum").keep() : null;
  });
}

/**
 * Adds the gradients of all ranks, in rank order, to the sum so far.
 *
 * @param buffer Holds the gradients of this rank's part; afterwards the sum.
 * @param before What {@link takeSum} returned; it is used up.
 * @param group The ranks.
 * @param counts How many samples count on each rank; a part without any is left out.
 */
export function addParts(
  buffer: FlatBuffer,
  before: Tensor | null,
  group: ProcessGroup,
  counts: readonly number[],
): void {
  noGrad(() =>
    tidy(() => {
      markUsed(buffer);
      const { gradients, parameters } = buffer;
      const parts = group.worldSize === 1 ? gradients.unsqueeze(0) : group.allGather(gradients);
      let sum = before;
      counts.forEach((count, rank) => {
        if (count > 0) sum = sum === null ? parts.select(0, rank) : sum.add(parts.select(0, rank));
      });
      if (sum !== null && sum.storage !== gradients.storage) copyInto(gradients, sum);
      const used = gradients.narrow(0, 0, parameters.length).data();
      parameters.forEach((parameter, i) => {
        if (Number(used[i]) > 0) parameter.grad = parameter.gradSlot;
      });
    })
  );
  before?.dispose();
}
