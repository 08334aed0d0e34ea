/**
 * Files.
 *
 * @module
 */
export { parseByteSize } from "./byte_size.ts";
export {
  loadModel,
  type LoadModelOptions,
  loadWeights,
  type LoadWeightsOptions,
  saveModel,
  type SaveModelOptions,
  type WithStateDict,
} from "./model_files.ts";
export { loadSafetensors, saveSafetensors } from "./safetensors.ts";
