/**
 * The commands and their options, in one table: parsing, help, suggestions and `--print-config` all read it.
 *
 * @module
 */

/** One option of a command. */
export interface Option {
  /** Name without dashes, in kebab case; underscores are understood too. */
  readonly name: string;
  /** One letter after a single dash. */
  readonly letter?: string;
  /** What its value is called in the help; a switch has none. */
  readonly value?: string;
  /** Whether it may be given more than once. */
  readonly repeatable?: boolean;
  /** The variable that gives the value when the option is absent. */
  readonly variable?: string;
  /** One line for the help; an option without one is understood but not listed. */
  readonly help?: string;
}

/** One command. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  /** What follows the name in the usage line. */
  readonly usage: string;
  readonly options: readonly Option[];
  /** Whether it takes a script and the script's arguments. */
  readonly takesScript: boolean;
  /** More lines for its help. */
  readonly notes: string;
}

const HELP: Option = { name: "help", letter: "h", help: "print this and exit" };

/** Options before any command. */
export const GLOBAL_OPTIONS: readonly Option[] = [
  HELP,
  { name: "version", letter: "V", help: "print the version and exit" },
];

const LAUNCH: Command = {
  name: "launch",
  summary: "train with one process per local GPU, or with one process on the CPU",
  usage: "[options] [script] [script arguments]",
  takesScript: true,
  options: [
    {
      name: "num-processes",
      value: "N",
      variable: "ACCELERATE_NUM_PROCESSES",
      help: "number of processes; default: one per GPU, else 1",
    },
    { name: "cpu", variable: "ACCELERATE_USE_CPU", help: "train on the CPU even where there are GPUs" },
    {
      name: "gpu-ids",
      value: "IDS",
      variable: "ACCELERATE_GPU_IDS",
      help: "which GPUs, for example 0,2; default: all",
    },
    {
      name: "mixed-precision",
      value: "TYPE",
      variable: "ACCELERATE_MIXED_PRECISION",
      help: "no, bf16, fp16 or fp8; default: what the script says",
    },
    {
      name: "gradient-accumulation-steps",
      value: "N",
      variable: "ACCELERATE_GRADIENT_ACCUMULATION_STEPS",
      help: "batches per optimizer step; default: what the script says",
    },
    {
      name: "main-process-ip",
      value: "ADDRESS",
      variable: "ACCELERATE_MAIN_PROCESS_IP",
      help: "where the processes meet; default: 127.0.0.1",
    },
    {
      name: "main-process-port",
      value: "PORT",
      variable: "ACCELERATE_MAIN_PROCESS_PORT",
      help: "port to meet at; default: 0, a free one",
    },
    { name: "env", value: "KEY=VALUE", repeatable: true, help: "set a variable in every process; may be repeated" },
    { name: "print-config", help: "print each setting with where it came from, and start nothing" },
    { name: "quiet", letter: "q", help: "print nothing but what the processes print" },
    { name: "num-machines", value: "N" },
    { name: "machine-rank", value: "N" },
    HELP,
  ],
  notes:
    `The script is a file or an http(s) URL; without one, examples/regression.ts is trained. Every process runs it with all
permissions, in this directory, with RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT set.
Rank 0 has this terminal's input and prints as it is; lines of the others start with "[rank N] ".
The first process that fails ends the others, and its status is the launcher's.
Options come before environment variables, and those before defaults.`,
};

const ENV: Command = {
  name: "env",
  summary: "print versions, platform, GPUs and library files, as bug reports need them",
  usage: "",
  takesScript: false,
  options: [HELP],
  notes: "",
};

const VERIFY_RESUME: Command = {
  name: "verify-resume",
  summary: "prove that a script goes on exactly after it was stopped",
  usage: "[options] script [script arguments]",
  takesScript: true,
  options: [
    ...LAUNCH.options.filter(({ name }) => !["print-config", "quiet", "help"].includes(name)),
    { name: "stop-at", value: "STEP", help: "stop after this backward pass; default: a random one" },
    { name: "seed", value: "N", help: "choose the random one by this number; default: another one each time" },
    HELP,
  ],
  notes:
    `The script runs three times, as "launch" runs it: to its end; until a backward pass in the middle of an epoch, and of an accumulation
window when it accumulates, where its state is saved and its processes are killed; and again in new processes. The batches,
losses, steps, and the weights and other state at the end must then be those of the first run, bit for bit.
It must set project.automaticCheckpointNaming, load latestCheckpoint() at its start, begin with the epoch of its loader, and
call end(). Its projectDir is replaced by a temporary folder.`,
};

/** All commands. */
export const COMMANDS: readonly Command[] = [LAUNCH, VERIFY_RESUME, ENV];
