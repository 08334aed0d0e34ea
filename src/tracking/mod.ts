/**
 * Experiment trackers.
 *
 * @module
 */
export { JsonlTracker } from "./jsonl_tracker.ts";
export { TensorBoardTracker } from "./tensorboard_tracker.ts";
export type { TrackedValue, TrackedValues, Tracker, TrackerClass, TrackerContext } from "./tracker.ts";
export type { TrackerChoice } from "./trackers.ts";
export { WandbTracker } from "./wandb_tracker.ts";
