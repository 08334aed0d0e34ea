/**
 * Preloaded by `deno task test:gpu`: what a test makes without naming a device lies on the GPU.
 *
 * @module
 */
import { setDefaultDevice } from "../../mod.ts";

setDefaultDevice("cuda");
