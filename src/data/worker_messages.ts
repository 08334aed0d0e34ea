/**
 * What a loader and its workers say to each other.
 *
 * @module
 */
import type { DatasetOrigin } from "./module_dataset.ts";
import type { Parcel } from "./parcel.ts";

/** What a worker is started with. */
export interface WorkerSetup {
  readonly origin: DatasetOrigin;
  /** Whether it collates, or sends the samples. */
  readonly collates: boolean;
}

/** A batch to make. */
export interface WorkerRequest {
  readonly id: number;
  readonly indices: readonly number[];
  /** With the index, the key of a sample's random numbers: they depend on the sample, not on who makes it. */
  readonly seed: number;
  readonly epoch: number;
}

/** An error as it can be cloned. */
export interface PortableError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
}

/** The batch, or why there is none. */
export type WorkerResponse =
  | { readonly id: number; readonly parcel: Parcel; readonly error?: undefined }
  | { readonly id: number; readonly error: PortableError };
