/**
 * A flag that any rank may raise and all ranks see.
 *
 * @module
 */
import type { Ranks } from "./ranks.ts";

/** The flag of one Accelerator. */
export class Trigger {
  readonly #ranks: Ranks;
  #isSet = false;

  /** @param ranks The ranks. */
  constructor(ranks: Ranks) {
    this.#ranks = ranks;
  }

  /** Raises it. */
  set(): void {
    this.#isSet = true;
  }

  /** Whether any rank has raised it; lowers it on all. */
  async check(): Promise<boolean> {
    const own = this.#isSet ? 1 : 0;
    this.#isSet = false;
    const flags = await this.#ranks.run("checkTrigger", (turn) => turn.agree("checkTrigger", "", own));
    return flags.some((flag) => flag === 1);
  }
}
