/**
 * The layers of a transformer's encoder, as in `torch.nn`.
 *
 * @module
 */
import { linear } from "../ops/matmul.ts";
import { feedForward, type HiddenActivation, linearResidual } from "../ops/residual.ts";
import type { Tensor } from "../tensor.ts";
import { ModuleList } from "./containers.ts";
import { Dropout, Linear } from "./layers.ts";
import { Module } from "./module.ts";
import { MultiheadAttention } from "./multihead_attention.ts";
import { LayerNorm } from "./normalization.ts";

/** Options of {@link TransformerEncoderLayer}. */
export interface TransformerEncoderLayerOptions {
  /** Size between the two linear layers. Default 2048. */
  dimFeedforward?: number;
  /** Probability that an element, or a weight of attention, is dropped in training. Default 0.1. */
  dropout?: number;
  /** Between the two linear layers: `"relu"`, `"gelu"` (exact), `"gelu (tanh)"` or a function. Default `"relu"`. */
  activation?: HiddenActivation | ((x: Tensor) => Tensor);
  /** Added to the variance of the normalisations. Default 1e-5. */
  layerNormEps?: number;
  /** Whether inputs are (batch, length, dim) and not (length, batch, dim). Default false, as in PyTorch. */
  batchFirst?: boolean;
  /** Whether attention and the linear layers are preceded by their normalisation, not followed. Default false. */
  normFirst?: boolean;
  /** Whether there are biases. Default true. */
  bias?: boolean;
}

/** Options of the forward pass of an encoder layer. */
export interface EncoderInputs {
  /** See `attnMask` of {@link MultiheadAttention}. */
  srcMask?: Tensor | null;
  /** See `keyPaddingMask` of {@link MultiheadAttention}. */
  srcKeyPaddingMask?: Tensor | null;
  /** Every position sees itself and what is before it. Default false. */
  isCausal?: boolean;
}

/**
 * Attention of a sequence to itself and two linear layers, each with a residual connection and a layer normalisation:
 * `torch.nn.TransformerEncoderLayer` (Vaswani et al., NeurIPS 2017), with its state-dict keys. Shapes: (length, batch, dModel), or
 * (batch, length, dModel) with `batchFirst`, or (length, dModel), to the same.
 *
 * @example A block of a GPT
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, randn } from "../../mod.ts";
 * const block = new nn.TransformerEncoderLayer(16, 4, { dimFeedforward: 64, activation: "gelu", batchFirst: true, normFirst: true });
 * assert(block.forward(randn([2, 5, 16]), { isCausal: true }).shape.join() === "2,5,16");
 * ```
 */
export class TransformerEncoderLayer extends Module {
  /** Attention of the sequence to itself. */
  readonly self_attn: MultiheadAttention;
  /** From dModel to dimFeedforward. */
  readonly linear1: Linear;
  /** Between the two linear layers. */
  readonly dropout: Dropout;
  /** From dimFeedforward to dModel. */
  readonly linear2: Linear;
  /** The normalisation of the attention: before it with `normFirst`, else behind its residual connection. */
  readonly norm1: LayerNorm;
  /** The same of the linear layers. */
  readonly norm2: LayerNorm;
  /** Of what attention adds. */
  readonly dropout1: Dropout;
  /** Of what the linear layers add. */
  readonly dropout2: Dropout;
  /** Whether a branch normalises its input, and not the sum with its residual connection. */
  readonly normFirst: boolean;
  readonly #activation: HiddenActivation | ((x: Tensor) => Tensor);
  readonly #clone: () => TransformerEncoderLayer;

  /**
   * Takes the size of an element of the sequence and the number of heads.
   *
   * @throws {RangeError} When the heads do not divide `dModel`, or `dropout` is not in [0, 1].
   */
  constructor(dModel: number, nHead: number, options: TransformerEncoderLayerOptions = {}) {
    super();
    const { dimFeedforward = 2048, dropout = 0.1, activation = "relu", layerNormEps = 1e-5 } = options;
    const { batchFirst = false, normFirst = false, bias = true } = options;
    this.self_attn = new MultiheadAttention(dModel, nHead, { dropout, bias, batchFirst });
    this.linear1 = new Linear(dModel, dimFeedforward, { bias });
    this.dropout = new Dropout(dropout);
    this.linear2 = new Linear(dimFeedforward, dModel, { bias });
    this.norm1 = new LayerNorm(dModel, { eps: layerNormEps, bias });
    this.norm2 = new LayerNorm(dModel, { eps: layerNormEps, bias });
    this.dropout1 = new Dropout(dropout);
    this.dropout2 = new Dropout(dropout);
    this.normFirst = normFirst;
    this.#activation = activation;
    this.#clone = () => new TransformerEncoderLayer(dModel, nHead, options);
  }

  /** A layer of the same shape with the same values. */
  clone(): TransformerEncoderLayer {
    const copy = this.#clone();
    copy.loadStateDict(this.stateDict());
    return copy;
  }

  /**
   * A sequence to one of the same shape.
   *
   * @throws {ShapeError} When the last size is not dModel, or a mask does not fit.
   */
  override forward(src: Tensor, inputs: EncoderInputs = {}): Tensor {
    if (this.normFirst) {
      const attended = this.#attend(this.norm1.forward(src), src, inputs);
      return this.#feedForward(this.norm2.forward(attended), attended);
    }
    const attended = this.norm1.forward(this.#attend(src, src, inputs));
    return this.norm2.forward(this.#feedForward(attended, attended));
  }

  get #isDropping(): boolean {
    return this.training && this.dropout.p > 0;
  }

  /** residual + attention of x. */
  #attend(x: Tensor, residual: Tensor, inputs: EncoderInputs): Tensor {
    const { srcMask = null, srcKeyPaddingMask = null, isCausal = false } = inputs;
    const masks = { attnMask: srcMask, keyPaddingMask: srcKeyPaddingMask, isCausal, needWeights: false };
    const [joined] = this.self_attn.attend(x, x, x, masks);
    const { out_proj } = this.self_attn;
    if (!this.#isDropping) return linearResidual(joined, residual, out_proj);
    return residual.add(this.dropout1.forward(out_proj.forward(joined)));
  }

  /** residual + the two linear layers on x. */
  #feedForward(x: Tensor, residual: Tensor): Tensor {
    const { linear1, linear2 } = this;
    const activation = this.#activation;
    if (!this.#isDropping && typeof activation === "string") {
      return feedForward(x, residual, { first: linear1, second: linear2, activation });
    }
    const hidden = typeof activation === "string"
      ? linear(x, linear1.weight, linear1.bias, activation)
      : activation(linear1.forward(x));
    return residual.add(this.dropout2.forward(linear2.forward(this.dropout.forward(hidden))));
  }
}

/**
 * Encoder layers one after another: `torch.nn.TransformerEncoder`. Every layer starts with the values of the one that is given, as in
 * PyTorch; keys are `layers.0...`.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { nn, randn } from "../../mod.ts";
 * const layer = new nn.TransformerEncoderLayer(16, 4, { dimFeedforward: 32, batchFirst: true });
 * const encoder = new nn.TransformerEncoder(layer, 2, { norm: new nn.LayerNorm(16) });
 * assert(encoder.forward(randn([2, 5, 16])).shape.join() === "2,5,16");
 * ```
 */
export class TransformerEncoder extends Module {
  /** The layers in order, none of which shares parameters with another. */
  readonly layers: ModuleList<TransformerEncoderLayer>;
  /** What the last layer passes through, or null. */
  readonly norm: Module | null;

  /**
   * Clones a layer `numLayers` times; `norm` normalises what the last one gives.
   *
   * @throws {RangeError} When `numLayers` is not a positive integer.
   */
  constructor(
    encoderLayer: TransformerEncoderLayer,
    numLayers: number,
    { norm = null }: { norm?: Module | null } = {},
  ) {
    super();
    if (!Number.isInteger(numLayers) || numLayers < 1) {
      throw new RangeError(`Cannot make a TransformerEncoder of ${numLayers} layers: it must be a positive integer`);
    }
    this.layers = new ModuleList(Array.from({ length: numLayers }, () => encoderLayer.clone()));
    this.norm = norm;
  }

  /** A sequence to one of the same shape; every layer gets the same masks. */
  override forward(src: Tensor, inputs: EncoderInputs = {}): Tensor {
    let out = src;
    for (const layer of this.layers) out = layer.forward(out, inputs);
    return this.norm === null ? out : this.norm.forward(out);
  }
}
