"""Makes small random checkpoints of SmolLM 3, each with the logits and the greedy text that Transformers gives.

    python make_smollm3.py [name ...]

Writes `test/goldens/smollm3/<name>/`; `checkpoints.py` says what the files hold and what the script checks.
"""

import torch
from checkpoints import Checkpoint, make_all, rope
from rotary_decoders import drawn_large, old, scaled
from transformers import SmolLM3Config, SmolLM3ForCausalLM

SMOLLM3 = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
               vocab_size=128, max_position_embeddings=128, pad_token_id=0, bos_token_id=120, eos_token_id=121,
               rope_parameters=rope(500.0))

FULL, SLIDING = "full_attention", "sliding_attention"
YARN = scaled("yarn", factor=2.0, original_max_position_embeddings=64)

CHECKPOINTS = [
    # As SmolLM3 3B has it: every fourth layer turns nothing.
    Checkpoint(
        "smollm3_every_fourth", 81, "smollm3",
        dict(SMOLLM3, rope_parameters=rope(50000.0)),
        must_matter={"no_rope_layers": [1] * 4, "no_rope_layers:other": [1, 1, 0, 1], "rope_parameters": rope(500.0),
                     "rms_norm_eps": 1e-3},
    ),
    Checkpoint(
        "smollm3_every_second_bf16_shards_old", 82, "smollm3",
        dict(SMOLLM3, no_rope_layer_interval=2, vocab_size=131, eos_token_id=[121, 128]),
        dtype=torch.bfloat16, max_shard_size="20KB",
        # The list follows from the interval where a config says none.
        old_spelling=old(rope(500.0), "bfloat16") | {"no_rope_layers": None},
        must_matter={"no_rope_layers": [1, 1, 1, 0]},
    ),
    Checkpoint(
        "smollm3_untied_head_dim_f16_padded", 83, "smollm3",
        dict(SMOLLM3, num_hidden_layers=3, no_rope_layers=[0, 1, 1], head_dim=12, num_key_value_heads=1,
             tie_word_embeddings=False),
        dtype=torch.float16, lengths=(21, 32), must_matter={"no_rope_layers": [1, 1, 0]},
    ),
    # Windows lie where nothing is turned, unless the config names the layers.
    Checkpoint(
        "smollm3_window_padded", 84, "smollm3",
        dict(SMOLLM3, num_hidden_layers=3, no_rope_layers=[1, 0, 1], use_sliding_window=True, sliding_window=6),
        lengths=(32, 25), must_matter={"sliding_window": 7, "layer_types": [FULL] * 3},
    ),
    Checkpoint(
        "smollm3_layer_types_bf16_old", 85, "smollm3",
        dict(SMOLLM3, num_hidden_layers=3, no_rope_layers=[1, 0, 1], use_sliding_window=True, sliding_window=5,
             layer_types=[SLIDING, FULL, SLIDING]),
        dtype=torch.bfloat16,
        old_spelling=old(rope(500.0), "bfloat16") | {"layer_types": [SLIDING, FULL, SLIDING]},
        must_matter={"sliding_window": 6, "layer_types": [FULL, SLIDING, FULL], "no_rope_layers": [1, 1, 1]},
    ),
    Checkpoint(
        "smollm3_biases_untied_bf16_padded_old", 86, "smollm3",
        dict(SMOLLM3, num_hidden_layers=2, no_rope_layers=[1, 0], attention_bias=True, mlp_bias=True,
             tie_word_embeddings=False),
        dtype=torch.bfloat16, lengths=(32, 18),
        old_spelling=old(rope(500.0), "bfloat16") | {"tie_word_embeddings": False},
        must_matter=dict(attention_bias=False, mlp_bias=False, no_rope_layers=[1, 1]),
    ),
    # The way to 128k tokens that the model card names.
    Checkpoint(
        "smollm3_yarn_f16", 87, "smollm3",
        dict(SMOLLM3, num_hidden_layers=3, no_rope_layers=[1, 1, 0], num_attention_heads=2, rope_parameters=YARN),
        dtype=torch.float16,
        must_matter={"rope_parameters:none": rope(500.0), "rope_parameters:factor": YARN | {"factor": 8.0},
                     "no_rope_layers": [1, 1, 1]},
    ),
    Checkpoint(
        "smollm3_linear_head_in_file_f16_old", 88, "smollm3",
        dict(SMOLLM3, num_hidden_layers=3, no_rope_layer_interval=3, rope_parameters=scaled("linear", factor=4.0)),
        dtype=torch.float16, store_head=True,
        old_spelling=dict(rope_theta=500.0, rope_scaling={"type": "linear", "factor": 4.0}, torch_dtype="float16"),
        must_matter={"rope_parameters:none": rope(500.0), "no_rope_layers": [1, 1, 1]},
    ),
]


def random_model(checkpoint: Checkpoint) -> torch.nn.Module:
    """A model with weights large enough that its epsilon, its windows and its rotary embedding show."""
    config = SmolLM3Config(**checkpoint.config, attn_implementation="eager")
    return drawn_large(SmolLM3ForCausalLM(config), checkpoint.seed)


if __name__ == "__main__":
    make_all(CHECKPOINTS, "smollm3", random_model)
