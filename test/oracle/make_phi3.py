"""Makes small random checkpoints of Phi-3, Phi-3.5, Phi-4 and Phi-4-mini, each with the logits and the greedy text that Transformers gives.

    python make_phi3.py [name ...]

Writes `test/goldens/phi3/<name>/`; `checkpoints.py` says what the files hold and what the script checks.
"""

import torch
from checkpoints import Checkpoint, make_all, rope
from rotary_decoders import drawn_large
from transformers import Phi3Config, Phi3ForCausalLM

# Special tokens stand at the end of the vocabulary, as in Phi-3; the one that ends a text pads, too.
PHI3 = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=2, vocab_size=112, max_position_embeddings=64,
            rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=100, pad_token_id=100, rope_parameters=rope(500.0))


def partial(factor: float, theta: float = 500.0) -> dict:
    """A rotary embedding of the first part of each head, in the spelling of Transformers 5."""
    return rope(theta) | {"partial_rotary_factor": factor}


def longrope(pairs: int, **parameters: object) -> dict:
    """LongRoPE of a number of pairs in the spelling of Transformers 5: other factors for short texts than for long ones."""
    return {"rope_type": "longrope", "rope_theta": 500.0,
            "short_factor": [1.0 + 0.05 * pair for pair in range(pairs)],
            "long_factor": [1.25 + 0.75 * pair * pair for pair in range(pairs)]} | parameters


def stretched(original: int, rope_parameters: dict) -> dict:
    """LongRoPE's fields; texts of more than `original` tokens are long ones."""
    return dict(original_max_position_embeddings=original, rope_parameters=rope_parameters)


def variations(rope_parameters: dict, original: int) -> dict:
    """The factors, what they follow from, and no stretching at all: each must give other logits."""
    pairs = len(rope_parameters["short_factor"])
    plain = partial(rope_parameters.get("partial_rotary_factor", 1.0))
    return {
        "rope_parameters:short": rope_parameters | {"short_factor": [1.0 + 0.3 * pair for pair in range(pairs)]},
        "rope_parameters:long": rope_parameters | {"long_factor": [1.0 + 0.2 * pair for pair in range(pairs)]},
        "rope_parameters:attention": rope_parameters | {"attention_factor": 1.0},
        "rope_parameters:none": plain,
        "original_max_position_embeddings": original + 20,
    }


def old(kind: str, rope_parameters: dict, dtype: str) -> dict:
    """Rotary embedding's fields and the dtype in the spelling of Transformers 4, as the published configs have them."""
    apart = ("rope_type", "rope_theta", "partial_rotary_factor")
    scaling = {name: value for name, value in rope_parameters.items() if name not in apart}
    beside = {name: rope_parameters[name] for name in apart[1:] if name in rope_parameters}
    return beside | dict(torch_dtype=dtype, rope_scaling={"type": kind} | scaling if scaling else None)


WITH_FACTOR = longrope(8, factor=8.0)
PARTIAL_LONG = longrope(6, partial_rotary_factor=0.75)
EVERY_FIELD = longrope(4, factor=3.0, attention_factor=1.3)

CHECKPOINTS = [
    Checkpoint(
        "phi3_mha", 61, "phi3",
        dict(PHI3, num_attention_heads=2, num_key_value_heads=None, rope_parameters=rope(10000.0)),
        must_matter=dict(rope_parameters=rope(500.0), rms_norm_eps=1e-3),
    ),
    # Phi-3 mini and medium with 4k have a window, half of the context.
    Checkpoint(
        "phi3_window_old", 62, "phi3",
        dict(PHI3, num_attention_heads=4, num_key_value_heads=4, sliding_window=9, rms_norm_eps=1e-3),
        old_spelling=old("", rope(500.0), "float32") | {"tie_word_embeddings": False}, lengths=(32, 21),
        must_matter=dict(rope_parameters=rope(10000.0), rms_norm_eps=1e-6, sliding_window=None),
    ),
    # Shards so small that each holds one fused tensor.
    Checkpoint(
        "phi3_gqa_bf16_shards_padded", 63, "phi3",
        dict(PHI3, num_attention_heads=4, num_key_value_heads=2, hidden_size=48, sliding_window=7, vocab_size=109,
             eos_token_id=[100, 107]),
        dtype=torch.bfloat16, max_shard_size="12KB", lengths=(23, 32),
        must_matter=dict(rope_parameters=rope(10000.0), sliding_window=8),
    ),
    # Rows of 32 and 29 tokens are long; the greedy text begins short.
    Checkpoint(
        "phi3_long", 64, "phi3",
        dict(PHI3, num_attention_heads=2, num_key_value_heads=2, **stretched(12, WITH_FACTOR)),
        lengths=(29, 32), by_length=True, recomputed=True,
        must_matter={name: value for name, value in variations(WITH_FACTOR, 12).items() if not name.endswith(":short")}
        | {"rope_parameters:factor": WITH_FACTOR | {"factor": 2.0}},
    ),
    Checkpoint(
        "phi3_short_and_long_bf16_old", 65, "phi3",
        dict(PHI3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, **stretched(24, longrope(4))),
        dtype=torch.bfloat16, lengths=(14, 32), by_length=True, recomputed=True,
        # Transformers 5 takes the first name of LongRoPE only where the factors say which context they stretch.
        old_spelling=old("su", longrope(4, original_max_position_embeddings=24), "bfloat16"),
        must_matter=variations(longrope(4), 24) | {"max_position_embeddings": 64},
    ),
    Checkpoint(
        "phi3_every_field_f16_old", 66, "phi3",
        dict(PHI3, num_attention_heads=4, num_key_value_heads=1, **stretched(18, EVERY_FIELD)),
        dtype=torch.float16, lengths=(32, 17), by_length=True, recomputed=True,
        old_spelling=old("longrope", EVERY_FIELD, "float16"),
        must_matter=variations(EVERY_FIELD, 18),
    ),
    Checkpoint(
        "phi4_head_dim_f16", 67, "phi3",
        dict(PHI3, num_attention_heads=4, num_key_value_heads=1, head_dim=12, intermediate_size=56,
             rope_parameters=rope(250000.0)),
        dtype=torch.float16, must_matter=dict(rope_parameters=rope(10000.0)),
    ),
    Checkpoint(
        "phi4_mini_tied_partial_old", 68, "phi3",
        dict(PHI3, num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True, sliding_window=10,
             **stretched(24, PARTIAL_LONG)),
        lengths=(32, 19), by_length=True, recomputed=True,
        old_spelling=old("longrope", PARTIAL_LONG, "float32") | {"tie_word_embeddings": True},
        must_matter=variations(PARTIAL_LONG, 24) | {
            "sliding_window": None,
            "rope_parameters:partial": longrope(8, partial_rotary_factor=1.0),
        },
    ),
    Checkpoint(
        "phi4_mini_tied_head_in_file", 69, "phi3",
        dict(PHI3, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
             rope_parameters=partial(0.5)),
        store_head=True, lengths=(18, 32),
        must_matter={"rope_parameters:partial": partial(0.75), "rope_parameters:theta": partial(0.5, 10000.0)},
    ),
]


def random_model(checkpoint: Checkpoint) -> torch.nn.Module:
    """A random Phi-3."""
    return drawn_large(Phi3ForCausalLM(Phi3Config(**checkpoint.config, attn_implementation="eager")), checkpoint.seed)


if __name__ == "__main__":
    make_all(CHECKPOINTS, "phi3", random_model)
