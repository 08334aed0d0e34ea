/**
 * Leaves out the synchronisations of emulated kernels, one after the other, and sees whether a test program notices.
 *
 * @module
 */

/** Runs the program with additional environment variables; whether all its results were right. */
export type Program = (env: Record<string, string>) => Promise<boolean>;

/** The synchronisations that a program reaches, and those of them that it does not miss. */
export interface MutationResult {
  sites: string[];
  unnoticed: string[];
}

/** A program's sites, one at a time left out; each with several orders of threads until one notices. */
export async function dropEachSynchronisation(program: Program, seeds: readonly string[]): Promise<MutationResult> {
  const list = await Deno.makeTempFile();
  try {
    if (!await program({ ACCELERATE_EMULATOR_SITES: list })) throw new Error("the program fails without a mistake");
    const sites = [...new Set((await Deno.readTextFile(list)).trim().split("\n"))];
    const unnoticed: string[] = [];
    const left = [...sites];
    const work = async (): Promise<void> => {
      for (let site = left.shift(); site !== undefined; site = left.shift()) {
        let noticed = false;
        for (const seed of seeds) {
          noticed ||= !await program({ ACCELERATE_EMULATOR_DROP: site, ACCELERATE_EMULATOR_SEED: seed });
        }
        if (!noticed) unnoticed.push(site);
      }
    };
    await Promise.all([work(), work()]);
    return { sites, unnoticed };
  } finally {
    await Deno.remove(list);
  }
}

/** How many sites of each operation there are. */
export function countByOperation(sites: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const site of sites) {
    const operation = site.slice(0, site.indexOf("@"));
    counts[operation] = (counts[operation] ?? 0) + 1;
  }
  return counts;
}
