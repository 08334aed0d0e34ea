/**
 * Checks of settings.
 *
 * @module
 */

/** Throws a RangeError unless each of the settings is at least 0. */
export function checkNotNegative<Name extends string>(
  settings: Readonly<Record<Name, number>>,
  ...names: Name[]
): void {
  for (const name of names) {
    if (!(settings[name] >= 0)) throw new RangeError(`Cannot use ${name} ${settings[name]}: it must be at least 0`);
  }
}
