"""Makes small random checkpoints of Mistral 7B, Nemo, Small and Ministral, each with the logits and the greedy text that Transformers gives.

    python make_mistral.py [name ...]

Writes `test/goldens/mistral/<name>/`; `checkpoints.py` says what the files hold and what the script checks.
"""

import torch
from checkpoints import Checkpoint, make_all, rope
from rotary_decoders import drawn_large, old, scaled
from transformers import MinistralConfig, MinistralForCausalLM, MistralConfig, MistralForCausalLM

MISTRAL = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, vocab_size=128, max_position_embeddings=128,
               rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, rope_parameters=rope(500.0), sliding_window=None)

FULL, SLIDING = "full_attention", "sliding_attention"
LLAMA3 = scaled("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
YARN = scaled("yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=4.0, beta_slow=0.5)

CHECKPOINTS = [
    # 7B v0.1: one window for all layers.
    Checkpoint(
        "mistral1_window", 61, "mistral",
        dict(MISTRAL, num_attention_heads=4, num_key_value_heads=2, sliding_window=7, rope_parameters=rope(10000.0)),
        must_matter=dict(sliding_window=8, rope_parameters=rope(500.0), rms_norm_eps=1e-3),
    ),
    Checkpoint(
        "mistral1_window_f16_padded_old", 62, "mistral",
        dict(MISTRAL, num_attention_heads=4, num_key_value_heads=2, sliding_window=5),
        dtype=torch.float16, lengths=(32, 19),
        # Mistral 7B's own config says no head_dim.
        old_spelling=old(rope(500.0), "float16") | {"head_dim": None, "tie_word_embeddings": False},
        must_matter={"sliding_window": 4, "sliding_window:none": None},
    ),
    # v0.2 and v0.3: no window.
    Checkpoint(
        "mistral3_bf16_shards_old", 63, "mistral",
        dict(MISTRAL, num_attention_heads=4, num_key_value_heads=1, vocab_size=131),
        dtype=torch.bfloat16, max_shard_size="20KB",
        old_spelling=old(rope(500.0), "bfloat16") | {"tie_word_embeddings": False},
        must_matter=dict(rope_parameters=rope(10000.0), sliding_window=8),
    ),
    # Nemo and Small 24B: heads that together are narrower or wider than the hidden size.
    Checkpoint(
        "mistral_nemo_padded", 64, "mistral",
        dict(MISTRAL, num_attention_heads=4, num_key_value_heads=2, hidden_size=48, head_dim=8,
             rope_parameters=rope(100000.0), eos_token_id=[2, 9]),
        lengths=(23, 32), must_matter=dict(rope_parameters=rope(500.0)),
    ),
    Checkpoint(
        "mistral_wide_heads_tied_bf16", 65, "mistral",
        dict(MISTRAL, num_attention_heads=2, num_key_value_heads=2, head_dim=24, tie_word_embeddings=True,
             sliding_window=6),
        dtype=torch.bfloat16, must_matter=dict(sliding_window=7, rms_norm_eps=1e-3),
    ),
    Checkpoint(
        "mistral_tied_head_in_file_f16", 66, "mistral",
        dict(MISTRAL, num_attention_heads=4, num_key_value_heads=4, tie_word_embeddings=True),
        dtype=torch.float16, store_head=True, must_matter=dict(rope_parameters=rope(10000.0)),
    ),
    # Ministral 8B as its makers describe it: three layers with a window follow one without.
    Checkpoint(
        "ministral_window_in_some_layers", 67, "ministral",
        dict(MISTRAL, num_attention_heads=4, num_key_value_heads=2, head_dim=12, num_hidden_layers=3, sliding_window=6,
             layer_types=[FULL, SLIDING, SLIDING], rope_parameters=rope(10000.0)),
        must_matter={"sliding_window": 7, "layer_types": [SLIDING, SLIDING, FULL], "layer_types:full": [FULL] * 3},
    ),
    # The same under Mistral's own name, which Transformers takes for a Ministral.
    Checkpoint(
        "mistral_layer_types_bf16_padded_old", 68, "ministral",
        dict(MISTRAL, num_attention_heads=4, num_key_value_heads=1, num_hidden_layers=3, head_dim=8, sliding_window=5,
             layer_types=[SLIDING, FULL, SLIDING]),
        dtype=torch.bfloat16, lengths=(32, 27),
        old_spelling=old(rope(500.0), "bfloat16") | {
            "layer_types": [SLIDING, FULL, SLIDING], "model_type": "mistral", "architectures": ["MistralForCausalLM"],
            "tie_word_embeddings": False,
        },
        must_matter={"sliding_window": 6, "layer_types": [FULL, SLIDING, SLIDING]},
    ),
    Checkpoint(
        "mistral_yarn_f16_old", 69, "mistral",
        dict(MISTRAL, num_attention_heads=2, num_key_value_heads=1, rope_parameters=YARN),
        dtype=torch.float16, old_spelling=old(YARN, "float16") | {"tie_word_embeddings": False},
        must_matter={"rope_parameters:none": rope(500.0), "rope_parameters:factor": YARN | {"factor": 2.0}},
    ),
    Checkpoint(
        "mistral_linear_window_bf16_old", 70, "mistral",
        dict(MISTRAL, num_attention_heads=4, num_key_value_heads=2, sliding_window=8,
             rope_parameters=scaled("linear", factor=4.0)),
        dtype=torch.bfloat16,
        old_spelling=dict(rope_theta=500.0, rope_scaling={"type": "linear", "factor": 4.0}, torch_dtype="bfloat16",
                          tie_word_embeddings=False),
        must_matter={"rope_parameters:none": rope(500.0), "sliding_window": 9},
    ),
    Checkpoint(
        "mistral_llama3_rope_f16", 71, "mistral",
        dict(MISTRAL, num_attention_heads=2, num_key_value_heads=2, rope_parameters=LLAMA3),
        dtype=torch.float16,
        must_matter={"rope_parameters:none": rope(500.0), "rope_parameters:factor": LLAMA3 | {"factor": 2.0}},
    ),
]

MODELS = {"mistral": (MistralConfig, MistralForCausalLM), "ministral": (MinistralConfig, MinistralForCausalLM)}


def random_model(checkpoint: Checkpoint) -> torch.nn.Module:
    """A model with weights large enough that its epsilon, its windows and its rotary embedding show."""
    config, model = MODELS[checkpoint.family]
    return drawn_large(model(config(**checkpoint.config, attn_implementation="eager")), checkpoint.seed)


if __name__ == "__main__":
    make_all(CHECKPOINTS, "mistral", random_model)
