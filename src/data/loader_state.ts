/**
 * A loader's place in the data, as a checkpoint holds it.
 *
 * @module
 */

/** What must be the same for a position to mean the same. */
export interface LoaderIdentity {
  /** What positions count. */
  readonly unit: "samples" | "batches";
  /** Samples in the data set; null for a stream. */
  readonly samples: number | null;
  /** Who orders them, and how. */
  readonly order: string;
}

/** What `DataLoader.stateDict()` returns: plain values. */
export interface DataLoaderState extends LoaderIdentity {
  readonly epoch: number;
  /** Samples, or batches, of the epoch that all ranks together have taken. */
  readonly position: number;
}

/**
 * Throws a RangeError when a state is none, or belongs to other data.
 *
 * @param state What is loaded.
 * @param own What the loader is.
 */
export function checkState(state: DataLoaderState, own: LoaderIdentity): void {
  for (const field of ["epoch", "position"] as const) {
    const value = state[field];
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw new RangeError(
      `Cannot load the state of a DataLoader: ${field} must be a non-negative integer, got ${value}`,
    );
  }
  for (const field of ["unit", "samples", "order"] as const) {
    if (state[field] === own[field]) continue;
    throw new RangeError(
      `Cannot load the state of a DataLoader: its ${field} is ${JSON.stringify(state[field])}, this loader's is ` +
        `${JSON.stringify(own[field])}. The position would mean other samples`,
    );
  }
}
