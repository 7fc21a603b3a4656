"""Makes small random checkpoints of Qwen 3, each with the logits and the greedy text that Transformers gives.

    python make_qwen3.py [name ...]

Writes `test/goldens/qwen3/<name>/`; `checkpoints.py` says what the files hold and what the script checks.
"""

import json
from pathlib import Path

import torch
from checkpoints import Checkpoint, make_all, rope
from common import token_ids, write_json
from rotary_decoders import assert_parts_matter, drawn_large, old, scaled
from transformers import Qwen3Config, Qwen3ForCausalLM

# As in the published models <|endoftext|> stands in the field of the beginning, and <|im_end|> ends a turn.
QWEN3 = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, vocab_size=128, max_position_embeddings=128,
             rms_norm_eps=1e-6, bos_token_id=120, eos_token_id=121, rope_parameters=rope(1000000.0))
FULL, SLIDING = "full_attention", "sliding_attention"
NO_WINDOW = dict(use_sliding_window=False, sliding_window=None, max_window_layers=1)
"""As in the published configs."""
YARN = scaled("yarn", factor=8.0, original_max_position_embeddings=24, beta_fast=3.0, beta_slow=0.25,
              mscale=1.4, mscale_all_dim=0.6, truncate=False)


def leave_head_dim_out(folder: Path) -> None:
    """Rewrites a config without `head_dim`, which then is 128 whatever the hidden size is."""
    file = folder / "config.json"
    write_json(file, {name: value for name, value in json.loads(file.read_text()).items() if name != "head_dim"})


CHECKPOINTS = [
    Checkpoint(
        "qwen3_tied", 71, "qwen3",
        dict(QWEN3, num_attention_heads=4, num_key_value_heads=2, head_dim=16, tie_word_embeddings=True),
        must_matter=dict(rope_parameters=rope(10000.0), rms_norm_eps=1e-3),
    ),
    Checkpoint(
        "qwen3_bf16_shards_old", 72, "qwen3",
        dict(QWEN3, num_attention_heads=4, num_key_value_heads=2, head_dim=8, num_hidden_layers=3, vocab_size=131,
             eos_token_id=[121, 120], rope_parameters=rope(500.0)),
        dtype=torch.bfloat16, max_shard_size="20KB", old_spelling=old(rope(500.0), "bfloat16") | NO_WINDOW,
        must_matter=dict(rope_parameters=rope(10000.0)),
    ),
    Checkpoint(
        "qwen3_biases_padded", 73, "qwen3",
        dict(QWEN3, num_attention_heads=4, num_key_value_heads=4, head_dim=12, attention_bias=True, rms_norm_eps=1e-3,
             rope_parameters=rope(500.0)),
        lengths=(32, 20), must_matter=dict(attention_bias=False, rms_norm_eps=1e-6),
    ),
    Checkpoint(
        "qwen3_window_f16_old", 74, "qwen3",
        dict(QWEN3, num_attention_heads=4, num_key_value_heads=1, head_dim=16, num_hidden_layers=3, use_sliding_window=True,
             sliding_window=7, max_window_layers=1, rope_parameters=rope(500.0)),
        dtype=torch.float16, old_spelling=old(rope(500.0), "float16"),
        must_matter={"sliding_window": 9, "layer_types:none": [FULL] * 3, "layer_types:less": [FULL, FULL, SLIDING]},
    ),
    # The list of layers stands against max_window_layers, which is not read beside it.
    Checkpoint(
        "qwen3_layer_types_tied_head_in_file", 75, "qwen3",
        dict(QWEN3, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=3, head_dim=20, intermediate_size=32,
             use_sliding_window=True, sliding_window=6, max_window_layers=0, layer_types=[SLIDING, FULL, SLIDING],
             rope_parameters=rope(10000.0), tie_word_embeddings=True),
        store_head=True,
        must_matter={"layer_types:swapped": [FULL, SLIDING, FULL], "layer_types:max": [SLIDING] * 3},
    ),
    Checkpoint(
        "qwen3_yarn_every_field_bf16_padded", 76, "qwen3",
        dict(QWEN3, num_attention_heads=4, num_key_value_heads=2, head_dim=16, rope_parameters=YARN),
        dtype=torch.bfloat16, lengths=(25, 32),
        must_matter={f"rope_parameters:{name}": YARN | {name: value} for name, value in dict(
            factor=16.0, beta_fast=2.0, beta_slow=0.9, mscale=0.3, mscale_all_dim=2.0, truncate=True).items()},
    ),
    Checkpoint(
        "qwen3_dynamic_short_f16_old", 77, "qwen3",
        dict(QWEN3, num_attention_heads=4, num_key_value_heads=4, head_dim=8, max_position_embeddings=24,
             rope_parameters=scaled("dynamic", factor=2.0)),
        dtype=torch.float16, lengths=(32, 14), by_length=True,
        old_spelling=NO_WINDOW | dict(
            rope_theta=500.0, rope_scaling={"type": "dynamic", "factor": 2.0}, torch_dtype="float16"),
        must_matter={"rope_parameters:factor": scaled("dynamic", factor=4.0), "rope_parameters:none": rope(500.0)},
    ),
    Checkpoint(
        "qwen3_linear_f16_padded", 78, "qwen3",
        dict(QWEN3, num_attention_heads=8, num_key_value_heads=2, head_dim=8, hidden_size=48,
             rope_parameters=scaled("linear", factor=4.0)),
        dtype=torch.float16, lengths=(19, 32),
        must_matter={"rope_parameters:factor": scaled("linear", factor=2.0), "rope_parameters:none": rope(500.0)},
    ),
    Checkpoint(
        "qwen3_no_head_dim_tied_bf16_old", 79, "qwen3",
        dict(QWEN3, num_attention_heads=1, num_key_value_heads=1, head_dim=128, tie_word_embeddings=True),
        dtype=torch.bfloat16, after_save=leave_head_dim_out,
        old_spelling=old(rope(1000000.0), "bfloat16") | NO_WINDOW | {"tie_word_embeddings": True},
        must_matter=dict(rope_parameters=rope(10000.0)),
    ),
]


def random_model(checkpoint: Checkpoint) -> torch.nn.Module:
    """A random Qwen 3 whose normalizations of queries and keys show."""
    model = drawn_large(Qwen3ForCausalLM(Qwen3Config(**checkpoint.config, attn_implementation="eager")), checkpoint.seed)
    assert_parts_matter(checkpoint.name, model, torch.from_numpy(token_ids((2, 32), 128, checkpoint.seed)).long())
    return model


if __name__ == "__main__":
    make_all(CHECKPOINTS, "qwen3", random_model)
