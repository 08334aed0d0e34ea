import { assertEquals } from "@std/assert";
import { formatDuration, Progress } from "../../examples/_progress.ts";

Deno.test("the progress line shows step, loss, rate and time left, at most ten times a second", () => {
  const lines: string[] = [];
  let clock = 0;
  const progress = new Progress({
    total: 4,
    perStep: 50,
    unit: "samples",
    write: (text) => lines.push(text.replace("\r\x1b[K", "")),
    now: () => clock,
  });
  clock = 500;
  progress.update(1, 2.5);
  clock = 550; // too soon after the last one
  progress.update(2, 2.25);
  clock = 1000;
  progress.update(3, 2);
  clock = 1050; // the last step is always shown
  progress.update(4, 1.75);
  progress.clear();
  assertEquals(lines, [
    "step 1/4  loss 2.5000  100 samples/s  0:02 left",
    "step 3/4  loss 2.0000  150 samples/s  0:00 left",
    "step 4/4  loss 1.7500  190 samples/s  0:00 left",
    "",
  ]);
});

Deno.test("formatDuration() spells minutes and hours", () => {
  assertEquals([0, 59.6, 61, 3723].map(formatDuration), ["0:00", "1:00", "1:01", "1:02:03"]);
});
