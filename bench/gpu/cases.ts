/**
 * What bench/gpu.ts measures: each case with the bytes that it must move or the operations that it must do, and our program for it. The
 * peer's program for the same `kind` and `sizes` is in bench/peers/gpu.py.
 *
 * @module
 */
import { type DeviceName, type DType, nn, noGrad, optim, randint, randn, type Tensor, tidy } from "../../mod.ts";

/** The limit that a case is held against: copying on the same GPU, or the data sheet's rate of the units it uses. */
export type Floor = "copy" | "bfloat16" | "float32";

/** Sizes and settings, as they are sent to the peer. */
export type Sizes = Record<string, number | string | boolean>;

/** One measurement. */
export interface Case {
  readonly name: string;
  readonly kind: string;
  readonly sizes: Sizes;
  readonly floor: Floor;
  /** Bytes that must be read and written, or floating operations, by `floor`. */
  readonly work: number;
  /** Makes the inputs once and returns what is timed; call `i` takes another set of inputs, so that no cache holds them. */
  prepare(device: DeviceName): (i: number) => void;
}

/** More than twice the second-level cache of an H200. */
const BEYOND_CACHE = 128 << 20;
const MAX_SETS = 64;

/** As many sets of inputs as no cache holds, and a function that works on one of them and releases what it makes. */
function rotating<T>(bytes: number, make: () => T, run: (set: T) => void): (i: number) => void {
  const sets = Array.from({ length: Math.min(MAX_SETS, Math.ceil(BEYOND_CACHE / bytes)) }, make);
  return (i) => void tidy(() => noGrad(() => void run(sets[i % sets.length])));
}

/** The same with gradients recorded. */
function rotatingWithGradients<T>(bytes: number, make: () => T, run: (set: T) => void): (i: number) => void {
  const sets = Array.from({ length: Math.min(MAX_SETS, Math.ceil(BEYOND_CACHE / bytes)) }, make);
  return (i) => void tidy(() => void run(sets[i % sets.length]));
}

const bytesOf = (dtype: string): number => dtype === "float32" ? 4 : 2;

function matmul(name: string, m: number, n: number, k: number, layout: string, dtype: DType): Case {
  const flipped = (rows: number, cols: number, flip: boolean, device: DeviceName): Tensor => {
    const x = randn(flip ? [cols, rows] : [rows, cols], { device }).to({ dtype });
    return flip ? x.transpose(0, 1) : x;
  };
  return {
    name: `matmul ${dtype} ${name} ${layout} ${m}x${n}x${k}`,
    kind: "matmul",
    sizes: { m, n, k, layout, dtype },
    floor: dtype === "float32" ? "float32" : "bfloat16",
    work: 2 * m * n * k,
    prepare: (device) =>
      rotating(
        (m * k + k * n) * bytesOf(dtype),
        () => [flipped(m, k, layout[0] === "T", device), flipped(k, n, layout[1] === "T", device)],
        ([a, b]) => a.matmul(b),
      ),
  };
}

type Rows = [x: Tensor, gradient: Tensor];

/** An operation over (rows, cols); `moves` counts how many times all elements are read or written. */
function rows(kind: string, count: number, cols: number, dtype: DType, moves: number, run: (set: Rows) => void): Case {
  return {
    name: `${kind} ${dtype} ${count}x${cols}`,
    kind,
    sizes: { rows: count, cols, dtype },
    floor: "copy",
    work: moves * count * cols * bytesOf(dtype),
    prepare: (device) => {
      const make = (): Rows => [
        randn([count, cols], { device }).to({ dtype }).requiresGrad_(kind.includes("backward")),
        randn([count, cols], { device }).to({ dtype }),
      ];
      const size = 2 * count * cols * bytesOf(dtype);
      return kind.includes("backward") ? rotatingWithGradients(size, make, run) : rotating(size, make, run);
    },
  };
}

function crossEntropy(count: number, classes: number): Case {
  return {
    name: `cross-entropy forward + backward bfloat16 ${count}x${classes}`,
    kind: "cross-entropy",
    sizes: { rows: count, cols: classes, dtype: "bfloat16" },
    floor: "copy",
    work: 2 * count * classes * 2,
    prepare: (device) =>
      rotatingWithGradients(
        count * classes * 2,
        () =>
          [
            randn([count, classes], { device }).to({ dtype: "bfloat16" }).requiresGrad_(),
            randint(0, classes, [count], { device, dtype: "int64" }),
          ] as const,
        ([logits, target]) => {
          logits.grad = null;
          nn.functional.crossEntropy(logits, target).backward();
        },
      ),
  };
}

function attention(length: number, heads: number, dim: number, batch: number, backward: boolean): Case {
  const shape = [batch, heads, length, dim];
  // Causal: half of the products. Two products forward; backward five.
  const forwardWork = 2 * 2 * batch * heads * length * length * dim / 2;
  return {
    name: `attention ${backward ? "backward" : "forward"} bfloat16 causal ${batch}x${heads}x${length}x${dim}`,
    kind: backward ? "attention-backward" : "attention",
    sizes: { batch, heads, length, dim, dtype: "bfloat16" },
    floor: "bfloat16",
    work: backward ? forwardWork * 2.5 : forwardWork,
    prepare: (device) => {
      const make = (): Tensor[] =>
        Array.from({ length: 3 }, () => randn(shape, { device }).to({ dtype: "bfloat16" }).requiresGrad_(backward));
      const attend = ([q, k, v]: Tensor[]): Tensor =>
        nn.functional.scaledDotProductAttention(q, k, v, { isCausal: true });
      const size = 3 * batch * heads * length * dim * 2;
      if (!backward) return rotating(size, make, (set) => void attend(set));
      const gradient = randn(shape, { device }).to({ dtype: "bfloat16" });
      return rotatingWithGradients(size, make, (set) => {
        for (const x of set) x.grad = null;
        attend(set).backward(gradient);
      });
    },
  };
}

function adamw(elements: number): Case {
  return {
    name: `AdamW float32 ${elements}`,
    kind: "adamw",
    sizes: { elements },
    floor: "copy",
    work: elements * 28,
    prepare: (device) => {
      const parameter = new nn.Parameter(randn([elements], { device }));
      parameter.grad = randn([elements], { device });
      const optimizer = new optim.AdamW([parameter], { lr: 1e-3 });
      return () => optimizer.step();
    },
  };
}

/** Sizes divided, to see that all programs run where time does not matter. */
export function makeCases(isSmoke: boolean): Case[] {
  const s = (size: number, least: number): number => isSmoke ? least : size;
  const [tokens, width] = [s(8192, 32), s(768, 16)];
  const cases = [
    rows("copy", s(16384, 32), s(8192, 16), "float32", 2, ([x]) => void x.clone()),
    ...[4096, 8192].map((size) => matmul("cube", s(size, 40), s(size, 40), s(size, 40), "NN", "bfloat16")),
    matmul("cube", s(4096, 40), s(4096, 40), s(4096, 40), "NN", "float32"),
    // GPT-2 124M: the four products of a block forward, one gradient of an input, one of a weight, the last layer.
    matmul("GPT-2 qkv", tokens, 3 * width, width, "NT", "bfloat16"),
    matmul("GPT-2 projection", tokens, width, width, "NT", "bfloat16"),
    matmul("GPT-2 up", tokens, 4 * width, width, "NT", "bfloat16"),
    matmul("GPT-2 down", tokens, width, 4 * width, "NT", "bfloat16"),
    matmul("GPT-2 dX", tokens, width, 4 * width, "NN", "bfloat16"),
    matmul("GPT-2 dW", 4 * width, width, tokens, "TN", "bfloat16"),
    matmul("GPT-2 logits", tokens, s(50304, 48), width, "NT", "bfloat16"),
    rows("add", tokens, 4 * width, "float32", 3, ([x, y]) => void x.add(y)),
    rows("gelu", tokens, 4 * width, "bfloat16", 2, ([x]) => void x.gelu()),
    rows("layer-norm", tokens, width, "bfloat16", 2, ([x]) => void nn.functional.layerNorm(x, [x.shape[1]])),
    rows("layer-norm forward + backward", tokens, width, "bfloat16", 5, ([x, gradient]) => {
      x.grad = null;
      nn.functional.layerNorm(x, [x.shape[1]]).backward(gradient);
    }),
    rows("softmax", tokens, s(4096, 16), "float32", 2, ([x]) => void x.softmax({ dim: -1 })),
    crossEntropy(tokens, s(50304, 48)),
    adamw(s(124_000_000, 1000)),
  ];
  for (const dim of [64, 128]) {
    for (const length of isSmoke ? [48] : [1024, 4096]) {
      const batch = s(16 * 1024 / length, 1);
      for (const backward of [false, true]) cases.push(attention(length, s(768 / dim, 2), dim, batch, backward));
    }
  }
  return cases;
}
