/**
 * What gradients need of a region for uneven inputs: see join.ts.
 *
 * @module
 */

/** What a region in which ranks may have no batch left says before an operation. */
export interface JoinedRegion {
  /** Metrics are gathered next. */
  announceMetrics(): void;
  /** Every rank's weights added up, one for each reducer; null for one that no rank reduces. */
  announce(weights: readonly (number | null)[]): (number | null)[];
}
