"""Makes small random checkpoints of Llama 3, 3.1, 3.2 and what is made of it, each with the logits and the greedy text that Transformers gives.

    python make_llama.py [name ...]

Writes `test/goldens/llama/<name>/`; `checkpoints.py` says what the files hold and what the script checks.
"""

import torch
from checkpoints import Checkpoint, make_all, rope
from rotary_decoders import drawn_large, old, scaled
from transformers import LlamaConfig, LlamaForCausalLM

# Special tokens stand at the end of the vocabulary, as in Llama 3, and none pads.
LLAMA = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, vocab_size=128, max_position_embeddings=128,
             rms_norm_eps=1e-5, bos_token_id=120, eos_token_id=121, rope_parameters=rope(500000.0))


def stretched(factor: float = 8.0, low: float = 1.0, high: float = 4.0, original: int = 32, theta: float = 500.0) -> dict:
    """Llama 3.1's rotary embedding in the spelling of Transformers 5.

    Of a head of 16 elements the first wavelength stays, the next two are blended and the others stretched, all within a
    text of 32 tokens.
    """
    return {"rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
            "original_max_position_embeddings": original, "rope_theta": theta}


def variations(field: str, **changes: object) -> dict:
    """Every parameter of the stretching with another value, and no stretching at all."""
    others = dict(factor=2.0, low=2.0, high=2.0, original=64, theta=10000.0)
    varied = {f"{field}:{name}": stretched(**(changes | {name: value})) for name, value in others.items()}
    return varied | {f"{field}:none": rope(500.0)}


YARN = scaled("yarn", factor=4.0, original_max_position_embeddings=32)
"""YaRN with defaults, on a context of 128 tokens: of a head's eight pairs the first is kept, two are blended."""
YARN_EVERY_FIELD = scaled("yarn", factor=8.0, original_max_position_embeddings=24, beta_fast=3.0, beta_slow=0.25,
                          mscale=1.4, mscale_all_dim=0.6, truncate=False)


CHECKPOINTS = [
    Checkpoint(
        "llama3_gqa", 31, "llama",
        dict(LLAMA, num_attention_heads=4, num_key_value_heads=2),
        must_matter=dict(rope_parameters=rope(10000.0), rms_norm_eps=1e-3),
    ),
    Checkpoint(
        "llama3_mha_old", 32, "llama",
        dict(LLAMA, num_attention_heads=2, num_key_value_heads=2, rms_norm_eps=1e-3, rope_parameters=rope(500.0)),
        # Llama 3's own config says neither head_dim nor tie_word_embeddings.
        old_spelling=old(rope(500.0), "float32") | {"head_dim": None},
        must_matter=dict(rope_parameters=rope(10000.0), rms_norm_eps=1e-6),
    ),
    Checkpoint(
        "llama3_mqa_head_dim", 33, "llama",
        dict(LLAMA, num_attention_heads=4, num_key_value_heads=1, head_dim=24, rope_parameters=rope(10000.0)),
        must_matter=dict(rope_parameters=rope(500000.0)),
    ),
    Checkpoint(
        "llama31_bf16_shards_old", 34, "llama",
        dict(LLAMA, num_attention_heads=4, num_key_value_heads=2, head_dim=16, rope_parameters=stretched(),
             vocab_size=131, eos_token_id=[121, 128, 129]),
        dtype=torch.bfloat16, max_shard_size="20KB", old_spelling=old(stretched(), "bfloat16"),
        must_matter=variations("rope_parameters"),
    ),
    Checkpoint(
        "llama31_f16_padded", 35, "llama",
        dict(LLAMA, num_attention_heads=2, num_key_value_heads=2, rope_parameters=stretched(factor=4.0)),
        dtype=torch.float16, lengths=(32, 23), must_matter=variations("rope_parameters", factor=4.0),
    ),
    Checkpoint(
        "llama32_tied_padded", 36, "llama",
        dict(LLAMA, num_attention_heads=8, num_key_value_heads=2, head_dim=16, rope_parameters=stretched(factor=32.0),
             tie_word_embeddings=True, rms_norm_eps=1e-3, num_hidden_layers=3),
        lengths=(21, 32),
        must_matter=dict(variations("rope_parameters", factor=32.0), rms_norm_eps=1e-6),
    ),
    Checkpoint(
        "llama32_tied_head_in_file_old", 37, "llama",
        dict(LLAMA, num_attention_heads=4, num_key_value_heads=2, head_dim=16, rope_parameters=stretched(),
             tie_word_embeddings=True),
        store_head=True, old_spelling=old(stretched(), "float32") | {"tie_word_embeddings": True},
        must_matter=variations("rope_parameters"),
    ),
    Checkpoint(
        "llama32_tied_bf16", 38, "llama",
        dict(LLAMA, num_attention_heads=4, num_key_value_heads=4, hidden_size=48, head_dim=8, tie_word_embeddings=True,
             rope_parameters=stretched(low=0.5, high=3.0, original=24), num_hidden_layers=3),
        dtype=torch.bfloat16, must_matter={"rope_parameters:none": rope(500.0), "rms_norm_eps": 1e-3},
    ),
    Checkpoint(
        "llama33_mqa_f16_padded_old", 39, "llama",
        dict(LLAMA, num_attention_heads=8, num_key_value_heads=1, head_dim=16, rope_parameters=stretched(high=2.0),
             intermediate_size=40),
        dtype=torch.float16, old_spelling=old(stretched(high=2.0), "float16"), lengths=(32, 17),
        must_matter={"rope_parameters:none": rope(500.0), "rope_parameters:high": stretched()},
    ),
    Checkpoint(
        "llama_attention_bias", 40, "llama",
        dict(LLAMA, num_attention_heads=4, num_key_value_heads=2, head_dim=12, attention_bias=True),
        must_matter=dict(attention_bias=False),
    ),
    Checkpoint(
        "llama_biases_bf16_shards_old", 41, "llama",
        dict(LLAMA, num_attention_heads=4, num_key_value_heads=1, attention_bias=True, mlp_bias=True,
             rope_parameters=rope(500.0)),
        dtype=torch.bfloat16, max_shard_size="20KB", old_spelling=old(rope(500.0), "bfloat16"), lengths=(32, 19),
        must_matter=dict(attention_bias=False, mlp_bias=False),
    ),
    # "type" is what rope_type was called before Transformers 4.43.
    Checkpoint(
        "llama_linear_f16_old", 42, "llama",
        dict(LLAMA, num_attention_heads=4, num_key_value_heads=2, rope_parameters=scaled("linear", factor=4.0)),
        dtype=torch.float16,
        old_spelling=dict(rope_theta=500.0, rope_scaling={"type": "linear", "factor": 4.0}, torch_dtype="float16"),
        must_matter={"rope_parameters:factor": scaled("linear", factor=2.0), "rope_parameters:none": rope(500.0)},
    ),
    # Rows of 32 and 29 tokens are stretched, each by its own length; the greedy text begins short and grows out of 16.
    Checkpoint(
        "llama_dynamic_padded", 43, "llama",
        dict(LLAMA, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=16,
             rope_parameters=scaled("dynamic", factor=3.0)),
        lengths=(29, 32), by_length=True,
        must_matter={"rope_parameters:factor": scaled("dynamic", factor=1.5), "rope_parameters:none": rope(500.0),
                     "max_position_embeddings": 24},
    ),
    Checkpoint(
        "llama_dynamic_short_bf16_old", 44, "llama",
        dict(LLAMA, num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=24,
             rope_parameters=scaled("dynamic", factor=2.0)),
        dtype=torch.bfloat16, lengths=(32, 14), by_length=True,
        old_spelling=dict(rope_theta=500.0, rope_scaling={"type": "dynamic", "factor": 2.0}, torch_dtype="bfloat16"),
        must_matter={"rope_parameters:factor": scaled("dynamic", factor=4.0), "rope_parameters:none": rope(500.0)},
    ),
    Checkpoint(
        "llama_yarn", 45, "llama",
        dict(LLAMA, num_attention_heads=2, num_key_value_heads=1, rope_parameters=YARN),
        must_matter={
            "rope_parameters:factor": YARN | {"factor": 2.0},
            "rope_parameters:original": YARN | {"original_max_position_embeddings": 128},
            "rope_parameters:attention": YARN | {"attention_factor": 1.0},
            "rope_parameters:none": rope(500.0),
        },
    ),
    Checkpoint(
        "llama_yarn_every_field_bf16_old", 46, "llama",
        dict(LLAMA, num_attention_heads=4, num_key_value_heads=2, head_dim=16, rope_parameters=YARN_EVERY_FIELD,
             attention_bias=True),
        dtype=torch.bfloat16, old_spelling=old(YARN_EVERY_FIELD, "bfloat16"), lengths=(25, 32),
        must_matter={f"rope_parameters:{name}": YARN_EVERY_FIELD | {name: value} for name, value in dict(
            factor=16.0, beta_fast=2.0, beta_slow=0.9, mscale=0.3, mscale_all_dim=2.0, truncate=True).items()},
    ),
]


def random_model(checkpoint: Checkpoint) -> torch.nn.Module:
    """A random Llama."""
    return drawn_large(LlamaForCausalLM(LlamaConfig(**checkpoint.config, attn_implementation="eager")), checkpoint.seed)


if __name__ == "__main__":
    make_all(CHECKPOINTS, "llama", random_model)
