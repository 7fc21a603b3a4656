"""Makes the golden of a tiny KerasHub Gemma 2 (JAX backend): variable paths, shapes, counts, and logits with LoRA.

    python make_keras.py

Writes `test/goldens/keras/golden.json` (constructor fields, every variable, which ones train, parameter counts) and
`golden.safetensors`:

    token_ids     int32   [batch, time]
    padding_mask  int32   [batch, time]          padded on the right
    logits        float32 [batch, time, vocab]   before LoRA; zero at padded positions
    lora_logits   float32 [batch, time, vocab]   with the non-zero factors below; zero at padded positions
    <path>        float32                        every variable, by its Keras path, LoRA factors among them
"""

import os

os.environ["KERAS_BACKEND"] = "jax"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np  # noqa: E402
from common import GOLDENS, made_with, token_ids, write_golden, write_json  # noqa: E402

import keras  # noqa: E402
import keras_hub  # noqa: E402

VERSIONS = made_with("keras", "keras-hub", "jax", "safetensors", "numpy")
RANK = 4
CONFIG = {
    "vocabulary_size": 96,
    "num_layers": 3,
    "num_query_heads": 4,
    "num_key_value_heads": 2,
    "hidden_dim": 32,
    "intermediate_dim": 96,
    "head_dim": 12,
    # Keras ignores False: its decoder block always scales by head_dim.
    "query_head_dim_normalize": True,
    "use_post_ffw_norm": True,
    "use_post_attention_norm": True,
    "attention_logit_soft_cap": 2.0,
    "final_logit_soft_cap": 6.0,
    "use_sliding_window_attention": True,
    "sliding_window_size": 6,
}


def fill(variables: list, random: np.random.Generator) -> None:
    """Draws every variable in the order of its path, with norm scales away from zero."""
    for variable in sorted(variables, key=lambda each: each.path):
        values = random.standard_normal(variable.shape).astype(np.float32)
        if variable.path.endswith("/scale"):
            values = (0.7 if "/post_" in variable.path else 0.1) + 0.3 * values
        elif "lora_" in variable.path:
            values *= 0.2
        else:
            values *= 0.15 if "embedding" in variable.path else 0.25
        variable.assign(values)


def described(variables: list) -> list[dict]:
    """Each variable's path and shape, in the model's order."""
    return [{"path": each.path, "shape": list(each.shape)} for each in variables]


def count(variables: list) -> int:
    """How many values the variables hold."""
    return sum(int(np.prod(each.shape)) for each in variables)


def main() -> None:
    """Writes both files."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(31)
    backbone = keras_hub.models.GemmaBackbone(**CONFIG, dtype="float32")
    model = keras_hub.models.GemmaCausalLM(backbone=backbone, preprocessor=None)
    base = list(model.weights)
    fill(base, random)

    ids = token_ids((2, 24), CONFIG["vocabulary_size"], 31)
    mask = np.ones_like(ids)
    mask[1, 17:] = 0
    ids[1, 17:] = 0

    def logits() -> np.ndarray:
        out = model({"token_ids": ids, "padding_mask": mask})
        return np.where(mask[:, :, None] == 1, keras.ops.convert_to_numpy(out), 0).astype(np.float32)

    before = logits()
    described_base, base_count = described(base), count(base)
    backbone.enable_lora(RANK)
    assert np.array_equal(before, logits()), "Fresh LoRA factors change the logits"
    fill([each for each in model.weights if "lora_" in each.path], random)
    after = logits()
    moved = float(np.abs(after - before).max())
    assert moved > 0.1, f"LoRA moves the logits by {moved} only"

    arrays = {each.path: keras.ops.convert_to_numpy(each.value) for each in model.weights}
    assert len(arrays) == len(model.weights), "Two variables share a path"
    write_golden(GOLDENS / "keras" / "golden.safetensors", {
        "token_ids": ids, "padding_mask": mask, "logits": before, "lora_logits": after, **arrays}, VERSIONS)
    write_json(GOLDENS / "keras" / "golden.json", {
        "config": CONFIG,
        "layer_norm_epsilon": backbone.layer_norm_epsilon,
        "rank": RANK,
        "parameters": base_count,
        "parameters_with_lora": count(model.weights),
        "trainable": count(model.trainable_weights),
        "variables": described_base,
        "variables_with_lora": described(model.weights),
        "trainable_variables": described(model.trainable_weights),
        "made_with": VERSIONS,
    })
    trainable = count(model.trainable_weights)
    print(f"keras: {base_count} parameters, {trainable} trainable, LoRA moves the logits by {moved:.2f}")


if __name__ == "__main__":
    main()
