import { assert, assertEquals } from "@std/assert";
import { formatResources, listSpills, parseResources } from "../../kernels/toolchain/ptxas.ts";

const MESSAGES = `ptxas info    : 8 bytes gmem
ptxas info    : Compiling entry function '_Zfirst' for 'sm_80'
ptxas info    : Function properties for _Zfirst
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 8192 bytes smem, 408 bytes cmem[0]
ptxas info    : Compiling entry function '_Zsecond' for 'sm_80'
ptxas info    : Function properties for _Zsecond
    16 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers, 380 bytes cmem[0]
ptxas info    : Compiling entry function '_Zfirst' for 'sm_90a'
ptxas info    : Function properties for _Zfirst
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 380 bytes cmem[0]
`;

Deno.test("what ptxas prints becomes a table of the most that a source's kernels take", () => {
  const resources = parseResources(MESSAGES);
  assertEquals(resources, {
    sm_80: { kernels: 2, registers: 255, sharedBytes: 8192, stackBytes: 16, spillBytes: 28 },
    sm_90a: { kernels: 1, registers: 32, sharedBytes: 0, stackBytes: 0, spillBytes: 0 },
  });
  const table = { "ops_a.cu": resources };
  assertEquals(JSON.parse(formatResources(table)), table);
});

Deno.test("a spill is named with its source and its GPU", () => {
  const spills = listSpills({ "ops_a.cu": parseResources(MESSAGES) });
  assert(spills !== undefined && spills.includes("ops_a.cu on sm_80 (28 bytes)") && !spills.includes("sm_90a"), spills);
  assertEquals(listSpills({ "ops_a.cu": { sm_80: { ...parseResources(MESSAGES).sm_90a } } }), undefined);
});
