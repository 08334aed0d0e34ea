/**
 * Versions of memory: every change in place is counted, so that backward can tell when a tensor that it needs was changed since.
 *
 * A clock ticks at each change. A node remembers the time at which it saved its tensors, and compares it with the time of the
 * last change of each: one number for a node, whatever it saves.
 *
 * @module
 */

/** What counts the changes of some memory: a storage, which a tensor and all its views share. */
export interface Versioned {
  /** Number of changes in place so far. */
  version: number;
  /** Reading of the clock at the last change; 0 before the first. */
  changedAt: number;
  /** Name of the operation that made the last change. */
  changedBy: string;
}

/** Changes in place so far, in the whole process. */
export let clock = 0;

/** Counts a change in place. */
export function bump(memory: Versioned, by: string): void {
  memory.version++;
  memory.changedAt = ++clock;
  memory.changedBy = by;
}
