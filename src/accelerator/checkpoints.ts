/**
 * Saving and loading the state of a run: which directory, in agreement between the ranks.
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";
import { getRandomState } from "../core/random.ts";
import { isPresent, removeIfPresent } from "../io/durable.ts";
import { safetensorsParts } from "../io/safetensors_format.ts";
import type { Module } from "../nn/module.ts";
import { allOrNone } from "./agreement.ts";
import { BackgroundWriter } from "./async_save.ts";
import { collectRank, collectShared, type TensorFile } from "./checkpoint_contents.ts";
import { type CheckpointJob, runCheckpointJob } from "./checkpoint_job.ts";
import { completeCheckpoints, isNumbered, nextNumber, removeStrays, transientName } from "./checkpoint_naming.ts";
import { LoadedCheckpoint } from "./checkpoint_reader.ts";
import { planRestore, type RestorePlan, wantedRanks } from "./checkpoint_restore.ts";
import { replacedName } from "./checkpoint_writer.ts";
import { MANIFEST_FILE } from "./manifest.ts";
import type { GlobalBatch } from "./global_batch.ts";
import type { PartialGradients } from "./partial_gradients.ts";
import type { Ranks } from "./ranks.ts";
import type { Registry } from "./registry.ts";

/** How the checkpoints of a run are named and kept. */
export interface ProjectOptions {
  /** Whether `saveState()` numbers checkpoints: `<projectDir>/checkpoints/checkpoint_<n>`. Default false. */
  automaticCheckpointNaming?: boolean;
  /** How many numbered checkpoints are kept, the newest; default all. */
  totalLimit?: number;
}

/** Options of `saveState`. */
export interface SaveStateOptions {
  /**
   * Write in the background: the state is copied and training goes on. Errors come with `flush()`, `end()` or the next save.
   * Default false.
   */
  async?: boolean;
  /** Take the place of a checkpoint that has this directory. Default false: that is an error. */
  overwrite?: boolean;
}

/**
 * Called before state is saved or loaded. It may write files of its own into the directory, or read them, and take models out of the list
 * that it saves or loads itself.
 */
export type StateHook = (models: Module[], directory: string) => void | Promise<void>;

/** What ends a registration. */
export interface StateHookHandle {
  /** The hook is not called any more. */
  remove(): void;
}

/** What a job looks like from here. */
export interface CheckpointContext {
  readonly registry: Registry;
  readonly accumulation: PartialGradients;
  /** Who has the random numbers while it lends others to the parts of a step. */
  readonly globalBatch?: GlobalBatch;
  readonly projectDir: string | undefined;
  readonly project: ProjectOptions;
  readonly timeoutMs: number;
  readonly ranks: Ranks;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The checkpoints of one Accelerator. */
export class Checkpoints {
  readonly #context: CheckpointContext;
  readonly #writer = new BackgroundWriter();
  readonly #saveHooks = new Set<StateHook>();
  readonly #loadHooks = new Set<StateHook>();
  #iteration = 0;

  /**
   * @param context What is saved, and where.
   * @throws {RangeError} When an option is outside its range.
   */
  constructor(context: CheckpointContext) {
    const { totalLimit, automaticCheckpointNaming } = context.project;
    if (totalLimit !== undefined && !(Number.isInteger(totalLimit) && totalLimit >= 1)) {
      throw new RangeError(`Cannot keep ${totalLimit} checkpoints: totalLimit must be a positive integer`);
    }
    if (automaticCheckpointNaming === true && context.projectDir === undefined) {
      throw new RangeError("Cannot name checkpoints: automaticCheckpointNaming needs projectDir");
    }
    this.#context = context;
  }

  /** The number that the next numbered checkpoint gets, as far as this process knows. */
  get iteration(): number {
    return this.#iteration;
  }

  /** Whether checkpoints without a directory are numbered. */
  get isNumbering(): boolean {
    return this.#folder !== undefined;
  }

  get #folder(): string | undefined {
    const { projectDir, project } = this.#context;
    return project.automaticCheckpointNaming === true ? `${projectDir}/checkpoints` : undefined;
  }

  /** Adds a hook that runs before each save. */
  beforeSave(hook: StateHook): StateHookHandle {
    this.#saveHooks.add(hook);
    return { remove: () => void this.#saveHooks.delete(hook) };
  }

  /** Adds a hook that runs before each load. */
  beforeLoad(hook: StateHook): StateHookHandle {
    this.#loadHooks.add(hook);
    return { remove: () => void this.#loadHooks.delete(hook) };
  }

  /** Waits for what is written in the background; throws when it failed. */
  flush(): Promise<void> {
    return this.#writer.flush();
  }

  /** Rank 0's choice of a directory, and the one that is written until it is complete. */
  async #chooseDestination(given: string | undefined, overwrite: boolean): Promise<CheckpointJob["destination"]> {
    const { timeoutMs } = this.#context;
    const folder = this.#folder;
    if (given !== undefined) {
      const directory = given.replace(/\/+$/, "");
      await checkReuse(directory, overwrite);
      const at = directory.lastIndexOf("/");
      const parent = at < 0 ? "." : directory.slice(0, at) || "/";
      await Deno.mkdir(parent, { recursive: true });
      await removeStrays(parent, (name) => name === directory.slice(at + 1));
      return { directory, temporary: transientName(directory, "writing"), timeoutMs };
    }
    if (folder === undefined) {
      throw new CheckpointError(
        "Cannot save the state without a directory: pass one, or set projectDir and project.automaticCheckpointNaming",
        { path: "" },
      );
    }
    await Deno.mkdir(folder, { recursive: true });
    await removeStrays(folder, isNumbered);
    this.#iteration = Math.max(this.#iteration, await nextNumber(folder));
    const directory = `${folder}/checkpoint_${this.#iteration}`;
    return { directory, temporary: transientName(directory, "writing"), timeoutMs };
  }

  /**
   * Saves the state of everything that is prepared and registered. Every rank must call it.
   *
   * @returns The directory.
   * @throws {CheckpointError} When it cannot be written, or an earlier one that was written in the background could not.
   */
  async save(
    given: string | undefined,
    { async: inBackground = false, overwrite = false }: SaveStateOptions,
  ): Promise<string> {
    const { registry, accumulation, ranks, globalBatch } = this.#context;
    const { rank, worldSize } = ranks;
    const wrap = (path: string) => (message: string) =>
      new CheckpointError(`Cannot save ${path}: ${message}`, { path });
    await allOrNone(ranks, "saveState", () => this.#writer.flush(), wrap(given ?? "the state"));
    const [chosen] = await allOrNone(ranks, "saveState", async () => {
      if (rank !== 0) return null;
      const destination = await this.#chooseDestination(given, overwrite);
      await removeIfPresent(destination.temporary);
      await Deno.mkdir(destination.temporary);
      return { destination, iteration: this.#iteration };
    }, wrap(given ?? "the state"));
    const { destination, iteration } = chosen!;
    const { directory, temporary } = destination;
    const failure = wrap(directory);
    const files: TensorFile[] = [];
    try {
      const shared = await allOrNone(ranks, "saveState", async () => {
        const models = registry.models;
        for (const hook of this.#saveHooks) await hook(models, temporary);
        const own = collectRank(rank, globalBatch?.randomState ?? getRandomState(), accumulation, files);
        return { own, writes: files.length > 0, shared: rank === 0 ? collectShared(registry, models, files) : null };
      }, failure);
      const manifest = { iteration, worldSize, ...shared[0].shared!, ranks: shared.map(({ own }) => own) };
      const writers = shared.flatMap(({ writes }, r) => r > 0 && writes ? [r] : []);
      const { totalLimit: limit } = this.#context.project;
      const folder = this.#folder;
      const job: Omit<CheckpointJob, "files"> = {
        destination,
        rank,
        ...(rank === 0 ? { publication: { manifest, writers } } : {}),
        ...(given === undefined && folder !== undefined && limit !== undefined ? { retention: { folder, limit } } : {}),
      };
      const hasWork = rank === 0 || files.length > 0;
      if (inBackground) {
        if (hasWork) this.#writer.start(job, files);
      } else {
        const streams = files.map(({ name, layout }) => ({ name, parts: safetensorsParts(layout) }));
        await allOrNone(ranks, "saveState", async () => {
          if (!hasWork) return;
          await runCheckpointJob({ ...job, files: streams }).catch((error) => {
            throw failure(messageOf(error));
          });
        }, failure);
      }
    } catch (error) {
      if (rank === 0) await removeIfPresent(temporary);
      throw error;
    }
    if (given === undefined) this.#iteration = iteration + 1;
    return directory;
  }

  /** The newest complete checkpoint of the project, or null. Every rank must call it. */
  async latest(): Promise<string | null> {
    const { ranks } = this.#context;
    const folder = this.#folder;
    if (folder === undefined) return null;
    const find = async () => ranks.rank === 0 ? (await completeCheckpoints(folder)).at(-1)?.directory ?? null : null;
    return (await allOrNone(
      ranks,
      "latestCheckpoint",
      find,
      (message) => new CheckpointError(message, { path: folder }),
    ))[0];
  }

  /** What `load` was not given. */
  async #choose(given: string | undefined): Promise<string> {
    if (given !== undefined) {
      const directory = given.replace(/(?<=.)\/+$/, "");
      // A save that should take its place ended between two names.
      if (!await isPresent(directory) && await isPresent(replacedName(directory))) return replacedName(directory);
      return directory;
    }
    const latest = await this.latest();
    if (latest !== null) return latest;
    const folder = this.#folder;
    const path = folder ?? "";
    throw new CheckpointError(
      folder === undefined
        ? "Cannot load the state without a directory: pass one, or set projectDir and project.automaticCheckpointNaming"
        : `Cannot load the state: ${folder} holds no complete checkpoint`,
      { path },
    );
  }

  /**
   * Loads the state of everything that is prepared and registered. Every rank must call it.
   *
   * @returns The directory.
   * @throws {CheckpointError} When the checkpoint is missing, damaged or does not fit, on any rank; then nothing was changed.
   */
  async load(given: string | undefined): Promise<string> {
    const { registry, accumulation, ranks } = this.#context;
    const { rank, worldSize } = ranks;
    const failure = (message: string): CheckpointError =>
      new CheckpointError(`Cannot load ${given ?? "the state"}: ${message}`, { path: given ?? "" });
    await allOrNone(ranks, "loadState", () => this.#writer.flush(), failure);
    const directory = await this.#choose(given);
    let loaded: LoadedCheckpoint | undefined;
    let plan: RestorePlan | undefined;
    let undo: (() => void) | undefined;
    try {
      await allOrNone(ranks, "loadState", async () => {
        const models = registry.models;
        loaded = await LoadedCheckpoint.read(directory, ({ ranks }) => wantedRanks(ranks.length, rank, worldSize));
        for (const hook of this.#loadHooks) await hook(models, directory);
        plan = planRestore(loaded, { registry, models, accumulation, rank, worldSize });
      }, failure);
      await allOrNone(ranks, "loadState", () => {
        undo = plan!.begin();
      }, failure);
      undo = undefined;
      this.#context.globalBatch?.reset();
      plan!.finish();
    } finally {
      undo?.();
      loaded?.[Symbol.dispose]();
    }
    return directory;
  }
}

/** Throws when a directory holds something that must not be replaced. */
async function checkReuse(directory: string, overwrite: boolean): Promise<void> {
  if (!await isPresent(directory)) return;
  const isEmpty = (await Array.fromAsync(Deno.readDir(directory))).length === 0;
  if (isEmpty) return;
  const isCheckpoint = await isPresent(`${directory}/${MANIFEST_FILE}`);
  if (isCheckpoint && overwrite) return;
  const problem = isCheckpoint
    ? "it holds a checkpoint already. Choose another directory, or pass { overwrite: true }"
    : "it holds files that are no checkpoint. Choose another directory";
  throw new CheckpointError(`Cannot save ${directory}: ${problem}`, { path: directory });
}
