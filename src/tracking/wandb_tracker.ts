/**
 * Weights & Biases, through the SDK that the user has installed.
 *
 * @module
 */
import type { TrackedValues, Tracker, TrackerContext } from "./tracker.ts";

/** The part of the SDK that is used. */
interface WandbSdk {
  init(options: { project: string; config: TrackedValues }): Promise<unknown>;
  log(values: TrackedValues, options?: { step: number }): unknown;
  finish(): Promise<unknown>;
}

const PACKAGE = "@wandb/sdk";

/** Sends what is logged to Weights & Biases. */
export class WandbTracker implements Tracker {
  readonly name = "wandb";
  readonly requiresLoggingDirectory = false;
  #sdk: WandbSdk | undefined;
  #project = "";
  #isRunning = false;

  /** The SDK, once it has started. */
  get tracker(): unknown {
    return this.#sdk;
  }

  /**
   * Loads the SDK.
   *
   * @throws {TypeError} When it is not installed; it says how to.
   */
  async start({ project }: TrackerContext): Promise<void> {
    this.#project = project;
    try {
      this.#sdk = (await import(PACKAGE) as { default: WandbSdk }).default;
    } catch (error) {
      throw new TypeError(
        `Cannot log to Weights & Biases: its SDK is not installed. Run "deno add npm:${PACKAGE}" in your project and set WANDB_API_KEY`,
        { cause: error },
      );
    }
  }

  async storeInitConfiguration(config: TrackedValues): Promise<void> {
    await this.#sdk!.init({ project: this.#project, config });
    this.#isRunning = true;
  }

  log(values: TrackedValues, step: number | undefined): void {
    if (step === undefined) this.#sdk!.log(values);
    else this.#sdk!.log(values, { step });
  }

  async finish(): Promise<void> {
    if (this.#isRunning) await this.#sdk!.finish();
    this.#isRunning = false;
  }
}
