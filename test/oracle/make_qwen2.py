"""Makes small random checkpoints of Qwen 2.5, each with the logits and the greedy text that Transformers gives.

    python make_qwen2.py [name ...]

Writes `test/goldens/qwen2/<name>/`; `checkpoints.py` says what the files hold and what the script checks.
"""

import torch
from checkpoints import Checkpoint, make_all, rope
from common import token_ids
from rotary_decoders import assert_parts_matter, drawn_large, old, scaled
from transformers import Qwen2Config, Qwen2ForCausalLM

# As in the published models <|endoftext|> stands in the fields of both ends, and <|im_end|> ends a turn.
QWEN2 = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, vocab_size=128, max_position_embeddings=128,
             rms_norm_eps=1e-6, bos_token_id=120, eos_token_id=121, rope_parameters=rope(1000000.0))
FULL, SLIDING = "full_attention", "sliding_attention"
UNUSED_WINDOW = dict(use_sliding_window=False, sliding_window=6, max_window_layers=1, use_mrope=False)
"""Published configs name a window that nothing has; were it used, the logits would differ."""
YARN = scaled("yarn", factor=4.0, original_max_position_embeddings=32)
LLAMA3 = scaled("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)


CHECKPOINTS = [
    Checkpoint(
        "qwen25_tied_old", 61, "qwen2",
        dict(QWEN2, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True),
        old_spelling=old(rope(1000000.0), "float32") | UNUSED_WINDOW | {"tie_word_embeddings": True},
        must_matter=dict(rope_parameters=rope(10000.0), rms_norm_eps=1e-3),
    ),
    Checkpoint(
        "qwen25_mha_bf16_shards", 62, "qwen2",
        dict(QWEN2, num_attention_heads=2, num_key_value_heads=2, vocab_size=131, eos_token_id=[121, 120],
             rope_parameters=rope(500.0)),
        dtype=torch.bfloat16, max_shard_size="20KB",
        must_matter=dict(rope_parameters=rope(10000.0), rms_norm_eps=1e-3),
    ),
    Checkpoint(
        "qwen25_window_padded", 63, "qwen2",
        dict(QWEN2, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=3, rms_norm_eps=1e-3,
             use_sliding_window=True, sliding_window=8, max_window_layers=1),
        lengths=(23, 32),
        must_matter={"sliding_window": 10, "layer_types:none": [FULL] * 3, "layer_types:all": [SLIDING] * 3,
                     "layer_types:before": [SLIDING, FULL, FULL], "rms_norm_eps": 1e-6},
    ),
    Checkpoint(
        "qwen25_window_f16_old", 64, "qwen2",
        dict(QWEN2, num_attention_heads=4, num_key_value_heads=1, num_hidden_layers=3, use_sliding_window=True,
             sliding_window=9, max_window_layers=2, rope_parameters=rope(500.0)),
        dtype=torch.float16, old_spelling=old(rope(500.0), "float16"),
        must_matter={"sliding_window": 7, "layer_types:none": [FULL] * 3, "layer_types:more": [FULL, SLIDING, SLIDING]},
    ),
    # The list of layers stands against max_window_layers, which is not read beside it.
    Checkpoint(
        "qwen25_layer_types_head_dim", 65, "qwen2",
        dict(QWEN2, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=3, head_dim=20, intermediate_size=32,
             use_sliding_window=True, sliding_window=6, max_window_layers=2, layer_types=[SLIDING, FULL, SLIDING],
             rope_parameters=rope(10000.0)),
        must_matter={"layer_types:swapped": [FULL, SLIDING, FULL], "layer_types:max": [FULL, FULL, SLIDING]},
    ),
    # As the cards of the published models tell to write it.
    Checkpoint(
        "qwen25_yarn_tied_head_in_file_old", 66, "qwen2",
        dict(QWEN2, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=32, rope_parameters=YARN,
             tie_word_embeddings=True),
        store_head=True,
        old_spelling=UNUSED_WINDOW | dict(
            rope_theta=500.0, torch_dtype="float32", tie_word_embeddings=True,
            rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}),
        must_matter={"rope_parameters:factor": YARN | {"factor": 2.0}, "rope_parameters:none": rope(500.0),
                     "rope_parameters:attention": YARN | {"attention_factor": 1.0}},
    ),
    Checkpoint(
        "qwen25_linear_bf16_padded", 67, "qwen2",
        dict(QWEN2, num_attention_heads=8, num_key_value_heads=4, hidden_size=48, head_dim=8,
             rope_parameters=scaled("linear", factor=4.0)),
        dtype=torch.bfloat16, lengths=(32, 21),
        must_matter={"rope_parameters:factor": scaled("linear", factor=2.0), "rope_parameters:none": rope(500.0)},
    ),
    # Rows of 29 and 32 tokens are stretched, each by its own length; the greedy text begins short and grows out of 16.
    Checkpoint(
        "qwen25_dynamic_padded", 68, "qwen2",
        dict(QWEN2, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=16,
             rope_parameters=scaled("dynamic", factor=3.0)),
        lengths=(29, 32), by_length=True,
        must_matter={"rope_parameters:factor": scaled("dynamic", factor=1.5), "rope_parameters:none": rope(500.0),
                     "max_position_embeddings": 24},
    ),
    Checkpoint(
        "qwen25_llama3_f16_padded_old", 69, "qwen2",
        dict(QWEN2, num_attention_heads=4, num_key_value_heads=2, head_dim=16, rope_parameters=LLAMA3),
        dtype=torch.float16, old_spelling=old(LLAMA3, "float16") | UNUSED_WINDOW, lengths=(32, 18),
        must_matter={"rope_parameters:factor": LLAMA3 | {"factor": 2.0}, "rope_parameters:none": rope(500.0)},
    ),
]


def random_model(checkpoint: Checkpoint) -> torch.nn.Module:
    """A random Qwen 2.5 whose biases show."""
    model = drawn_large(Qwen2ForCausalLM(Qwen2Config(**checkpoint.config, attn_implementation="eager")), checkpoint.seed)
    assert_parts_matter(checkpoint.name, model, torch.from_numpy(token_ids((2, 32), 128, checkpoint.seed)).long())
    return model


if __name__ == "__main__":
    make_all(CHECKPOINTS, "qwen2", random_model)
