/**
 * Preloaded into every rank, before the user's script: the rank dies with its launcher, even by SIGKILL and in a busy loop.
 *
 * @module
 */
import { killWhenParentDies } from "../../ffi/parent_death.ts";

const launcherPid = Number(Deno.env.get("ACCELERATE_LAUNCHER_PID"));
killWhenParentDies();
// The kernel tells only about deaths from now on. A launcher that died before has already been replaced as the parent.
if (Deno.ppid !== launcherPid) Deno.kill(Deno.pid, "SIGKILL");
