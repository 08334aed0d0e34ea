/**
 * Ties the life of this process to that of its parent.
 *
 * @module
 */

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9n;

/**
 * Asks the kernel to kill this process when its parent ends, however it ends and whatever this process is doing. It does nothing
 * outside Linux, where no native library exists either.
 *
 * @throws {Error} When the kernel refuses.
 */
export function killWhenParentDies(): void {
  if (Deno.build.os !== "linux") return;
  const libc = Deno.dlopen("libc.so.6", {
    // int prctl(int option, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5)
    prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  });
  const status = libc.symbols.prctl(PR_SET_PDEATHSIG, SIGKILL, 0n, 0n, 0n);
  libc.close();
  if (status !== 0) throw new Error("Cannot tie this process to its launcher: prctl(PR_SET_PDEATHSIG) failed");
}
