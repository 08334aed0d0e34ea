/**
 * What is measured beside PyTorch: our program and its peer, which print the same names as JSON. A result of ours named
 * `<name> % of limit` is the percentage of the machine's own limit, measured in the same run.
 *
 * @module
 */

/** One pair of programs. */
export interface Suite {
  /** What the rows begin with. */
  readonly name: string;
  readonly unit: string;
  /** Whether larger is faster. */
  readonly isRate?: boolean;
  /** The results that become rows. Absent: all that both print. */
  readonly names?: readonly string[];
  /** Units of results that have another one. */
  readonly units?: Readonly<Record<string, string>>;
  /** Arguments of Deno, with paths from the project's root. */
  readonly ours: readonly string[];
  /** Arguments of Python. */
  readonly peer: readonly string[];
  /** Run once with each number of threads, which the peer gets as its last argument. Absent: both choose. */
  readonly threads?: readonly number[];
  /** Variables for the peer. */
  readonly peerEnv?: Readonly<Record<string, string>>;
  /** Whether the time of the whole command counts, in seconds, and its output does not. */
  readonly isCommand?: boolean;
}

const RANKS = ["run", "-A", "cli.ts", "launch", "--cpu", "--num-processes", "2"];
const TORCHRUN = ["-m", "torch.distributed.run", "--nproc_per_node", "2"];
const ONE_THREAD = { OMP_NUM_THREADS: "1" };

function program(name: string, unit: string, more: Partial<Suite> = {}): Suite {
  return { name, unit, ours: ["run", "-A", `bench/${name}.ts`], peer: [`bench/peers/${name}.py`], ...more };
}

/** All of them, in the order of docs/performance.md. */
export const SUITES: readonly Suite[] = [
  {
    name: "regression",
    unit: "us/step",
    names: ["median", "mean", "residentBytes"],
    units: { residentBytes: "bytes" },
    ours: ["run", "-A", "bench/regression.ts", "200"],
    peer: ["bench/peers/regression.py", "200"],
  },
  {
    name: "regression, 2 ranks",
    unit: "us/step",
    names: ["median", "mean", "residentBytes"],
    units: { residentBytes: "bytes" },
    ours: [...RANKS, "bench/regression.ts", "200"],
    peer: [...TORCHRUN, "bench/peers/regression.py", "200"],
    peerEnv: ONE_THREAD,
  },
  {
    name: "launch of 2 epochs",
    unit: "s",
    ours: ["run", "-A", "cli.ts", "launch"],
    peer: ["-m", "accelerate.commands.launch", "--cpu", "bench/peers/regression.py", "2"],
    isCommand: true,
  },
  {
    name: "all-reduce of 2 processes, bytes",
    unit: "us",
    ours: [...RANKS, "bench/all_reduce.ts"],
    peer: [...TORCHRUN, "bench/peers/all_reduce.py"],
    peerEnv: ONE_THREAD,
  },
  program("matmul", "GFLOP/s", { isRate: true, threads: [1, 2] }),
  program("rows", "ms", { threads: [1, 2] }),
  program("optimizers", "ms", { threads: [1, 2] }),
  program("elementwise", "ms", { threads: [1, 2] }),
  program("convolution", "ms", { threads: [2] }),
  program("cnn_epoch", "ms", { threads: [2] }),
  program("gpt_step", "ms", { names: ["median", "residentBytes"], units: { residentBytes: "bytes" } }),
];
