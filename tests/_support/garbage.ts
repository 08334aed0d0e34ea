/**
 * Garbage collection on demand, for tests of what is released when nobody holds it any more.
 *
 * @module
 */
import v8 from "node:v8";
import vm from "node:vm";

let collect: (() => void) | undefined;

/** Collects all garbage and runs the finalizers. */
export async function collectGarbage(): Promise<void> {
  if (collect === undefined) {
    // A context that is made after the flag is set has the function.
    v8.setFlagsFromString("--expose-gc");
    collect = vm.runInNewContext("gc") as () => void;
  }
  for (let round = 0; round < 2; round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}
