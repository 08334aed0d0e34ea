/**
 * What a finished library must be: it exports what accelerate.h declares, and links to the C library only.
 *
 * @module
 */
import type { HeaderFunction } from "../../tools/header.ts";
import { run } from "./compile.ts";

/** The library exports what the header declares, and nothing else. */
export async function checkExports(path: string, functions: HeaderFunction[]): Promise<void> {
  const exported = (await run("nm", ["-D", "--defined-only", path])).trim().split("\n").map((line) =>
    line.split(" ").pop()!
  ).sort();
  const declared = functions.map(({ name }) => name).sort();
  if (exported.join() === declared.join()) return;
  const wrong = [...exported, ...declared].filter((name) => !exported.includes(name) || !declared.includes(name));
  console.error(
    `${path} must export exactly the functions of accelerate.h; these differ: ${wrong.slice(0, 10).join(", ")}`,
  );
  Deno.exit(1);
}

const ALLOWED_LINKS = /^(libc|libm|libdl|librt|libpthread|ld-linux-x86-64)\.so\.\d+$/;
const NEWEST_GLIBC = 34;

/** It needs only the C library, and none newer than Debian 12's. */
export async function checkLinks(path: string): Promise<void> {
  const needed = [...(await run("readelf", ["-d", path])).matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name);
  const versions = [...(await run("objdump", ["-T", path])).matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) =>
    Number(minor)
  );
  const wrong = needed.filter((name) => !ALLOWED_LINKS.test(name));
  if (wrong.length === 0 && Math.max(...versions) <= NEWEST_GLIBC) return;
  console.error(
    `${path} must link only to the C library up to GLIBC_2.${NEWEST_GLIBC}: ${wrong.join(", ")} GLIBC_2.${
      Math.max(...versions)
    }`,
  );
  Deno.exit(1);
}
