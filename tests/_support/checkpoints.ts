/**
 * A small run with everything that has a state, and folders for its checkpoints.
 *
 * @module
 */
import { assertRejects } from "@std/assert";
import { Accelerator, type AcceleratorOptions, CheckpointError, nn, optim, randn, type Tensor } from "../../mod.ts";

export class Folder implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "accelerate-checkpoint-" });
  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
  list(sub = ""): string[] {
    return [...Deno.readDirSync(`${this.path}/${sub}`)].map(({ name }) => name).sort();
  }
}

/** A run with everything that has a state. */
export class Run {
  readonly accelerator: Accelerator;
  readonly model = new nn.Sequential(new nn.Linear(4, 8), new nn.BatchNorm1d(8), new nn.ReLU(), new nn.Linear(8, 1));
  readonly optimizer = new optim.AdamW(this.model.parameters(), { lr: 1e-2 });
  readonly scheduler = new optim.lrScheduler.StepLR(this.optimizer, { stepSize: 3, gamma: 0.5 });

  private constructor(options: AcceleratorOptions) {
    this.accelerator = new Accelerator(options);
  }

  static async start(options: AcceleratorOptions = {}): Promise<Run> {
    const run = new Run(options);
    await run.accelerator.prepare(run.model, run.optimizer, run.scheduler);
    return run;
  }

  /** One step on random data; the loss. */
  step(): number {
    this.optimizer.zeroGrad();
    const loss = this.model.forward(randn([5, 4])).pow(2).mean();
    this.accelerator.backward(loss);
    this.optimizer.step();
    this.scheduler.step();
    return loss.item();
  }

  epoch(): number[] {
    return Array.from({ length: 5 }, () => this.step());
  }

  /** Everything that a checkpoint must bring back, as plain values. */
  state(): unknown {
    const plain = (value: unknown): unknown =>
      typeof value === "object" && value !== null && "toArray" in value ? (value as Tensor).toArray() : value;
    const { state, paramGroups } = this.optimizer.stateDict();
    return [
      Object.entries(this.model.stateDict()).map(([name, value]) => [name, value.toArray()]),
      Object.values(state).map((entry) => Object.entries(entry).map(([name, value]) => [name, plain(value)])),
      paramGroups,
      this.scheduler.stateDict(),
    ];
  }
}

export const numbered = (path: string, totalLimit?: number): AcceleratorOptions => ({
  projectDir: path,
  project: { automaticCheckpointNaming: true, ...(totalLimit === undefined ? {} : { totalLimit }) },
});

export async function failure(promise: Promise<unknown>): Promise<CheckpointError> {
  return await assertRejects(() => promise, CheckpointError) as CheckpointError;
}
