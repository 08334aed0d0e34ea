/**
 * What may stop an optimizer.
 *
 * @module
 */

/** What the Accelerator has to say about an optimizer's steps. */
export interface OptimizerGuard {
  /** Whether a step may be taken now; throws when the gradients must not be used. */
  allowsStep(): boolean;
  /** Whether the gradients may be forgotten now. */
  allowsZeroGrad(): boolean;
  /** The gradients were forgotten. */
  forgotten(): void;
}
