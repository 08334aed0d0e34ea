/**
 * Fetches the CPU library into the cache when this module was imported over http(s) and the library is not there yet, so that
 * tensors can be made in synchronous code later. A local checkout, or a warm cache, makes this do nothing.
 *
 * @module
 */
import { findLibrary, isRemote, resolveLibrary } from "./resolve.ts";

if (isRemote() && findLibrary("cpu") === undefined) await resolveLibrary("cpu");
