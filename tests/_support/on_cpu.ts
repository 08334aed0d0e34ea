/**
 * Imported by tests of Accelerators that train on the CPU: what they make without naming a device lies there too, also in
 * `deno task test:gpu`.
 *
 * @module
 */
import { setDefaultDevice } from "../../mod.ts";

setDefaultDevice("cpu");
