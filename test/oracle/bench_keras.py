"""Times LoRA fine-tuning in KerasHub on JAX (compiled, float32), as a peer of `deno task bench lora`.

    python bench_keras.py --batch 2 --time 256 --steps 6 --rank 8 [--checkpoint FOLDER] [--interleave]

Keras's LoRA factors are per head (of other shapes than PEFT's), so that its trainable count is its own.
"""

from bench_common import LEARNING_RATE, SHAPE, WEIGHT_DECAY, arguments, batch_of, limit_threads, run

ARGS = arguments(__doc__)
if ARGS.save:
    raise SystemExit("--save: write the folder with bench_torch.py")
limit_threads(ARGS.threads)

import os  # noqa: E402

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np  # noqa: E402

import keras  # noqa: E402
import keras_hub  # noqa: E402


def build():
    """The model with its LoRA factors, and the function that runs one step of training."""
    keras.utils.set_random_seed(ARGS.seed)
    if ARGS.checkpoint:
        backbone = keras_hub.models.GemmaBackbone.from_preset(ARGS.checkpoint, dtype="float32")
    else:
        backbone = keras_hub.models.GemmaBackbone(
            vocabulary_size=SHAPE["vocab_size"],
            num_layers=SHAPE["num_hidden_layers"],
            num_query_heads=SHAPE["num_attention_heads"],
            num_key_value_heads=SHAPE["num_key_value_heads"],
            hidden_dim=SHAPE["hidden_size"],
            intermediate_dim=2 * SHAPE["intermediate_size"],
            head_dim=SHAPE["head_dim"],
            use_post_ffw_norm=True,
            use_post_attention_norm=True,
            attention_logit_soft_cap=50.0,
            final_logit_soft_cap=30.0,
            use_sliding_window_attention=True,
            sliding_window_size=4096,
            dtype="float32",
        )
    parameters = backbone.count_params()
    backbone.enable_lora(ARGS.rank)
    model = keras_hub.models.GemmaCausalLM(backbone=backbone, preprocessor=None)
    model.compile(
        optimizer=keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        weighted_metrics=[],
    )
    ids = batch_of(ARGS.batch, ARGS.time)
    inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    # As in Transformers, each token but the first is a label; the last position has none.
    labels = np.concatenate([ids[:, 1:], np.zeros_like(ids[:, :1])], axis=1)
    weights = np.ones(ids.shape, np.float32)
    weights[:, -1] = 0

    def step() -> float:
        model.reset_metrics()
        logs = model.train_on_batch(inputs, labels, sample_weight=weights, return_dict=True)
        return float(logs["loss"])

    trainable = sum(int(np.prod(each.shape)) for each in model.trainable_weights)
    return step, parameters, trainable


run("keras-jax", ARGS, build)
