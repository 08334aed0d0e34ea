/**
 * Instruction-set levels of the CPU library, and the generated source that chooses one of them at run time.
 *
 * @module
 */
import type { HeaderFunction } from "../../tools/header.ts";

/** Instruction-set levels of the CPU library, lowest first, with the test that dispatch uses. */
export interface Level {
  flags: string[];
  test: string;
}
export const LEVELS: Record<string, Level> = {
  baseline: { flags: [], test: "true" },
  avx2: {
    flags: ["-mavx2", "-mfma", "-mf16c", "-mbmi2"],
    test: `__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")`,
  },
  avx512: {
    flags: [
      "-mavx512f",
      "-mavx512bw",
      "-mavx512vl",
      "-mavx512dq",
      "-mfma",
      "-mf16c",
      "-mbmi2",
      "-mprefer-vector-width=512",
    ],
    test: `__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && ` +
      `__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")`,
  },
};

/** The source of the exported functions: each jumps to the best level that the processor has. */
export function dispatchSource(functions: HeaderFunction[], chosen: Record<string, Level>): string {
  const ops = functions.filter(({ tag }) => tag === "op");
  const levels = Object.keys(chosen);
  const parameters = (fn: HeaderFunction): string =>
    fn.parameters.map(({ type, name }) => `${type} ${name}`).join(", ");
  const declarations = ops.flatMap((fn) => levels.map((level) => `int32_t ${fn.name}__${level}(${parameters(fn)});`));
  const fields = ops.map((fn) => `  int32_t (*${fn.name})(${parameters(fn)});`);
  const tables = levels.map((level) =>
    `const Table ${level} = {"${level}", ${ops.map((fn) => `${fn.name}__${level}`).join(", ")}};`
  );
  const choices = levels.toReversed().map((level) =>
    `  if (${
      chosen[level].test
    } && (wanted == nullptr || *wanted == 0 || strcmp(wanted, "${level}") == 0)) return ${level};`
  );
  const exported = ops.map((fn) =>
    `int32_t ${fn.name}(${parameters(fn)}) { return table.${fn.name}(${
      fn.parameters.map(({ name }) => name).join(", ")
    }); }`
  );
  return `#include <stdlib.h>
#include <string.h>
#include "include/accelerate.h"
extern "C" {
${declarations.join("\n")}
}
namespace ax { const char* isaName(); }
namespace {
struct Table {
  const char* name;
${fields.join("\n")}
};
${tables.join("\n")}
const Table& choose() {
  const char* wanted = getenv("ACCELERATE_ISA");
  __builtin_cpu_init();
${choices.join("\n")}
  return ${levels[0]};
}
const Table table = choose();
}  // namespace
namespace ax { const char* isaName() { return table.name; } }
${exported.join("\n")}
`;
}
