/**
 * Files.
 *
 * @module
 */
export { loadSafetensors, saveSafetensors } from "./safetensors.ts";
