/**
 * The devices that a test file runs on: the CPU, and `cuda` where there is a GPU, real or emulated.
 *
 * @module
 */
import { type DeviceName, devices } from "../../mod.ts";

/** `cpu`, `cuda`, or unset for both: which of the machine's devices tests run on. */
const CHOSEN = Deno.env.get("ACCELERATE_TEST_DEVICES")?.split(",");

/**
 * The devices to run the tests of a file on. Where there is no GPU, one skipped test says so in the file's name; `.ci/run` counts them.
 *
 * @param file `import.meta.url` of the test file.
 */
export function testDevices(file: string): DeviceName[] {
  const present = devices();
  if (present.length === 1) {
    const name = file.slice(file.lastIndexOf("/tests/") + 1);
    Deno.test({
      name: `${name} on cuda (skipped: no GPU, and ACCELERATE_CUDA_LIBRARY names no emulated one)`,
      ignore: true,
      fn: () => {},
    });
  }
  // One GPU is enough: the others run the same code.
  return present.slice(0, 2).filter((device) => CHOSEN === undefined || CHOSEN.includes(device.split(":")[0]));
}
