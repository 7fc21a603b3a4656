/**
 * Everything that decides what the tiny model becomes: its architecture, and the settings of the tokenizer, of pretraining and of
 * fine-tuning.
 */

/** The sliding and the full attention layers, in turn as in Gemma 2. */
const layerTypes = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"];

/** The contents of `config.json`: Gemma 2 with 690,304 parameters, in the spelling of Transformers 5. */
export const architecture = {
  architectures: ["Gemma2ForCausalLM"],
  model_type: "gemma2",
  vocab_size: 768,
  hidden_size: 128,
  intermediate_size: 256,
  num_hidden_layers: layerTypes.length,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 32,
  query_pre_attn_scalar: 32,
  attn_logit_softcapping: 50,
  final_logit_softcapping: 30,
  sliding_window: 64,
  layer_types: layerTypes,
  max_position_embeddings: 256,
  rope_parameters: { rope_theta: 10000, rope_type: "default" },
  rms_norm_eps: 1e-6,
  hidden_activation: "gelu_pytorch_tanh",
  attention_bias: false,
  attention_dropout: 0,
  initializer_range: 0.08,
  tie_word_embeddings: true,
  use_cache: true,
  bos_token_id: 2,
  eos_token_id: 1,
  pad_token_id: 0,
  dtype: "float32",
};

/** The text that the tokenizer is trained on: this many documents from this seed. */
export const tokenizerTraining = { seed: 20, documents: 5000 };

/** The number of examples in each file of the fine-tuning task. */
export const dataSizes = { train: 6000, heldout: 200 };

/** How a learning rate falls to zero after the warm-up: along a half cosine or a straight line. */
export type Decay = "cosine" | "linear";

/** The settings that both kinds of training have. */
export interface TrainingRecipe {
  /** The seed of the data, the first weights and the order. */
  seed: number;
  /** The batch size. */
  batchSize: number;
  /** The number of tokens in a sequence, at most. */
  sequenceLength: number;
  /** The number of optimizer steps. */
  steps: number;
  /** The highest learning rate. */
  learningRate: number;
  /** The number of steps over which the learning rate rises from zero in a straight line. */
  warmupSteps: number;
  /** How the learning rate falls from there to zero at the last step. */
  schedule: Decay;
  /** AdamW's decay rate of the mean of the gradients. */
  beta1: number;
  /** AdamW's decay rate of the mean of their squares. */
  beta2: number;
  /** AdamW's decoupled weight decay, on variables of two axes or more. */
  weightDecay: number;
  /** The global norm that gradients are clipped to. */
  clipNorm: number;
}

/** The settings of fine-tuning with low-rank adapters. */
export interface FinetuningRecipe extends TrainingRecipe {
  /** The rank of the adapters. */
  rank: number;
  /** The scale of the adapters times their rank. */
  alpha: number;
  /** The layers that get an adapter, as a regular expression over their names. */
  targets: string;
  /** The shape of the factors: Keras's or PEFT's. */
  layout: "keras" | "peft";
}

/**
 * Pretraining from random weights on `pretrainingText(seed)`. Each document is a sequence of its own, `<bos>`, its tokens and `<eos>`,
 * padded to the length of its bucket; batches hold documents of like length. Documents come in the order of the stream, up to two
 * thousand places, because the stream grows harder, and they are never cut: packed end to end they take three times as many
 * tokens to learn from. The loss mask covers every token that is not padding.
 */
export const pretraining: TrainingRecipe = {
  seed: 1,
  batchSize: 32,
  sequenceLength: 128,
  steps: 4000,
  learningRate: 3e-3,
  warmupSteps: 100,
  schedule: "cosine",
  beta1: 0.9,
  beta2: 0.99,
  weightDecay: 0.01,
  clipNorm: 1,
};

/** Fine-tuning on `data/train.jsonl`; the loss mask covers the tokens of the response and the `<eos>` after it. */
export const finetuning: FinetuningRecipe = {
  seed: 2,
  batchSize: 16,
  sequenceLength: 128,
  steps: 1000,
  learningRate: 2e-3,
  warmupSteps: 20,
  schedule: "cosine",
  beta1: 0.9,
  beta2: 0.99,
  weightDecay: 0,
  clipNorm: 1,
  rank: 16,
  alpha: 32,
  targets: "query|key|value|attention_output|ffw_gating|ffw_gating_2|ffw_linear",
  layout: "peft",
};
