/**
 * Tools for training: checkpointing, clipping of gradients, parameters as one vector.
 *
 * @module
 */
export { checkpoint } from "./checkpoint.ts";
export { clipGradNorm, type ClipGradNormOptions, clipGradValue } from "./clip.ts";
export { parametersToVector, vectorToParameters } from "./vector.ts";
