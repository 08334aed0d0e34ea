/**
 * Every environment variable that the library reads, in one list. A test holds it to what the sources name.
 *
 * @module
 */

/** Names and meanings. RANK and its kin are torchrun's. */
export const ENVIRONMENT = {
  RANK: "index of this process among all, from 0",
  LOCAL_RANK: "index of this process on its machine, from 0",
  WORLD_SIZE: "number of processes",
  LOCAL_WORLD_SIZE: "number of processes on this machine",
  MASTER_ADDR: "address of the key-value store",
  MASTER_PORT: "port of the key-value store",
  ACCELERATE_STORE_SECRET: "secret of the job, which guards the store",
  ACCELERATE_USE_CPU: "1: train on the CPU even where there is a GPU",
  ACCELERATE_LIBRARY_DIR: "folder of the native libraries",
  ACCELERATE_CPU_LIBRARY: "file of the CPU library",
  ACCELERATE_CUDA_LIBRARY: "file of the CUDA library",
  ACCELERATE_NCCL_LIBRARY: "file of NCCL",
  ACCELERATE_COLLECTIVES: "ipc or nccl: what connects GPUs, when it is not to be chosen by their size",
  ACCELERATE_NUM_THREADS: "threads an operation may use on the CPU",
  ACCELERATE_ISA: "instruction set of the CPU library: baseline, avx2 or avx512",
  ACCELERATE_MATMUL: "whose kernels multiply matrices on a GPU: own (the default) or cublaslt, for comparisons",
  ACCELERATE_CUBLASLT_LIBRARY: "file of cuBLASLt",
  ACCELERATE_MIXED_PRECISION: "no, bf16, fp16 or fp8",
  ACCELERATE_GRADIENT_ACCUMULATION_STEPS: "steps whose gradients are summed",
  ACCELERATE_LOG_LEVEL: "least level of what loggers print: debug, info, warn or error",
  ACCELERATE_PROJECT_DIR: "folder of checkpoints and logs, instead of the script's projectDir",
  ACCELERATE_VERIFY_RESUME: "verify-resume: what this run records, and where it stops",
  ACCELERATE_NUM_PROCESSES: "launch: number of processes",
  ACCELERATE_GPU_IDS: "launch: GPUs to use, by index",
  ACCELERATE_MAIN_PROCESS_IP: "launch: address of the key-value store",
  ACCELERATE_MAIN_PROCESS_PORT: "launch: port of the key-value store",
  ACCELERATE_LAUNCH_CALL: "which call of launch() in the program started this process",
  DENO_V8_FLAGS: "flags of V8; launch sets the size of its young generation when this is unset",
  MALLOC_ARENA_MAX: "malloc areas of the C library; launch sets 1 when this is unset",
  ACCELERATE_SHARE_GPU: "1: several processes may use one GPU",
  CUDA_VISIBLE_DEVICES: "GPUs that this process may see",
  ACCELERATE_LAUNCHER_PID: "process id of the launcher, whose end ends this process",
} as const;

/** The value of a variable, or `undefined` when it is unset or empty. */
export function env(name: keyof typeof ENVIRONMENT): string | undefined {
  return Deno.env.get(name) || undefined;
}
