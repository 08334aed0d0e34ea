/**
 * Float32 copies of 16-bit parameters: what an optimizer changes, so that steps below a parameter's precision add up.
 *
 * @module
 */
import { noGrad } from "../core/op.ts";
import { where } from "../ops/binary.ts";
import { copyInto } from "../ops/launch.ts";
import type { Tensor } from "../tensor.ts";
import { tidy } from "../tidy.ts";

/** Name of the state that holds the copies. */
export const MASTER = "master_param";

/** Takes over what something else than the optimizer has written into a parameter. */
export function updateMaster(master: Tensor, parameter: Tensor): void {
  noGrad(() =>
    tidy(() => {
      // Where the rounded copy is the parameter, the copy knows more digits.
      const isKnown = master.to({ dtype: parameter.dtype }).eq(parameter);
      copyInto(master, where(isKnown, master, parameter.to({ dtype: "float32" })));
    })
  );
}
