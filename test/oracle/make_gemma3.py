"""Makes small random Gemma 3 checkpoints of text, each with the logits and the greedy text that Transformers gives.

    python make_gemma3.py [name ...]

Writes `test/goldens/gemma3/<name>/`; `checkpoints.py` says what the files hold and what the script checks. Those that take
images are made by `make_gemma3_vision.py`.
"""

import torch
from checkpoints import Checkpoint, make_all
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

GEMMA_3 = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=4, vocab_size=128, max_position_embeddings=128,
               query_pre_attn_scalar=8, head_dim=8, sliding_window=6)
SLIDING, FULL = "sliding_attention", "full_attention"


def ropes(sliding: float | dict = 10_000.0, full: float | dict = 1_000_000.0) -> dict:
    """Rotary embedding's fields by kind of layer, each a base or all that Transformers 5 says of it."""
    def one(given: float | dict) -> dict:
        return given if isinstance(given, dict) else {"rope_type": "default", "rope_theta": given}
    return {SLIDING: one(sliding), FULL: one(full)}


def linear(theta: float, factor: float) -> dict:
    """A rotary embedding whose positions are divided by a factor, as in the models from 4B up."""
    return {"rope_type": "linear", "factor": factor, "rope_theta": theta}


def old(theta: float, local: float, factor: float | None, pattern: int | None, dtype: str) -> dict:
    """The same fields as the published repositories have them."""
    found = dict(rope_theta=theta, rope_local_base_freq=local, cache_implementation="hybrid", torch_dtype=dtype,
                 rope_scaling=None if factor is None else {"factor": factor, "rope_type": "linear"})
    return found if pattern is None else found | {"sliding_window_pattern": pattern}


def moves(parameters: dict, **others: object) -> dict:
    """Each base with another value and, where positions are divided, none of that: all of it must matter."""
    def other(kind: str, value: dict) -> dict:
        return parameters | {kind: value}
    varied = {f"rope_parameters:{kind}": other(kind, value | {"rope_theta": 77.0}) for kind, value in parameters.items()}
    for kind, value in parameters.items():
        if value["rope_type"] != "default":
            plain = {"rope_type": "default", "rope_theta": value["rope_theta"]}
            varied[f"rope_parameters:{kind} {value['rope_type']}"] = other(kind, plain)
    return varied | others


BIG = ropes(500.0, linear(5000.0, 8.0))
YARN = ropes(
    {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
     "original_max_position_embeddings": 32, "rope_theta": 200.0},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "rope_theta": 500.0},
)

CHECKPOINTS = [
    # As the 270M and the 1B: five layers of six see a window, one key head, plain rotary embeddings.
    Checkpoint(
        "gemma3_mqa_bf16", 61, "gemma3",
        dict(GEMMA_3, num_attention_heads=4, num_key_value_heads=1, num_hidden_layers=7, intermediate_size=32),
        dtype=torch.bfloat16,
        must_matter=moves(ropes(), sliding_window=128, query_pre_attn_scalar=20, layer_types=[SLIDING] * 7,
                          final_logit_softcapping=6.0),
    ),
    # As the 4B: grouped heads, the far positions divided by eight.
    Checkpoint(
        "gemma3_gqa_old", 62, "gemma3",
        dict(GEMMA_3, num_attention_heads=4, num_key_value_heads=2, rope_parameters=BIG, query_pre_attn_scalar=20,
             layer_types=[SLIDING, FULL] * 2),
        old_spelling=old(5000.0, 500.0, 8.0, 2, "float32") | {"hidden_activation": "gelu_pytorch_tanh"},
        must_matter=moves(BIG, sliding_window=128, query_pre_attn_scalar=8, layer_types=[SLIDING] * 4),
    ),
    # As the 27B: the scale is that of hidden size over heads; layers in an order that no pattern gives.
    Checkpoint(
        "gemma3_bf16_shards", 63, "gemma3",
        dict(GEMMA_3, num_attention_heads=8, num_key_value_heads=4, vocab_size=131, query_pre_attn_scalar=4,
             layer_types=[FULL, SLIDING, SLIDING, FULL], sliding_window=9,
             rope_parameters=ropes(linear(200.0, 2.0), linear(500.0, 4.0))),
        dtype=torch.bfloat16, max_shard_size="20KB",
        must_matter=moves(ropes(linear(200.0, 2.0), linear(500.0, 4.0)), sliding_window=128, query_pre_attn_scalar=8,
                          layer_types=[SLIDING] * 4),
    ),
    Checkpoint(
        "gemma3_f16_padded_old", 64, "gemma3",
        dict(GEMMA_3, num_attention_heads=2, num_key_value_heads=2, head_dim=12, rms_norm_eps=1e-2,
             eos_token_id=[1, 106], rope_parameters=ropes(300.0, 9000.0), layer_types=[SLIDING, SLIDING, FULL, SLIDING],
             sliding_window=5),
        dtype=torch.float16, lengths=(32, 19), old_spelling=old(9000.0, 300.0, None, 3, "float16"),
        must_matter=moves(ropes(300.0, 9000.0), sliding_window=128, rms_norm_eps=1e-6,
                          layer_types=[SLIDING, FULL, SLIDING, FULL]),
    ),
    # The 270M's own spelling: the layers one by one, and the pattern in a field of its own.
    Checkpoint(
        "gemma3_layer_types_old", 65, "gemma3",
        dict(GEMMA_3, num_attention_heads=4, num_key_value_heads=1, layer_types=[SLIDING, SLIDING, SLIDING, FULL],
             rope_parameters=ropes(10_000.0, 1_000_000.0), sliding_window=10),
        old_spelling=old(1_000_000.0, 10_000.0, None, None, "float32") | {
            "_sliding_window_pattern": 6, "layer_types": [SLIDING, SLIDING, SLIDING, FULL],
            "use_bidirectional_attention": False},
        must_matter=moves(ropes(), sliding_window=128, layer_types=[SLIDING] * 4),
    ),
    Checkpoint(
        "gemma3_capped_head_in_file", 66, "gemma3",
        dict(GEMMA_3, num_attention_heads=2, num_key_value_heads=1, head_dim=16, hidden_size=24, num_hidden_layers=3,
             layer_types=[SLIDING, FULL, SLIDING], final_logit_softcapping=6.0, sliding_window=7, attention_bias=True),
        store_head=True,
        must_matter=dict(final_logit_softcapping=None, sliding_window=128, hidden_activation="gelu",
                         attention_bias=False),
    ),
    Checkpoint(
        "gemma3_every_rope_padded", 67, "gemma3",
        dict(GEMMA_3, num_attention_heads=2, num_key_value_heads=2, head_dim=16, num_hidden_layers=2,
             layer_types=[FULL, SLIDING], rope_parameters=YARN, sliding_window=10, rms_norm_eps=1e-4),
        lengths=(21, 32), must_matter=moves(YARN, sliding_window=128, rms_norm_eps=1e-2),
    ),
    # No layer slides, so that no window is needed.
    Checkpoint(
        "gemma3_full_attention", 68, "gemma3",
        dict(GEMMA_3, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=2, layer_types=[FULL, FULL],
             rope_parameters=ropes(10_000.0, 100.0)),
        must_matter={"rope_parameters": ropes(10_000.0, 77.0), "layer_types": [FULL, SLIDING]},
    ),
]


def random_model(checkpoint: Checkpoint) -> torch.nn.Module:
    """A model with weights large enough that its window, its bases and its norms' scales all show."""
    model = Gemma3ForCausalLM(Gemma3TextConfig(**checkpoint.config, attn_implementation="eager"))
    generator = torch.Generator().manual_seed(checkpoint.seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            parameter.copy_(random_values(name, torch.randn(parameter.shape, generator=generator)))
    return model


def random_values(name: str, values: torch.Tensor) -> torch.Tensor:
    """A parameter of the decoder made of normal numbers."""
    if "norm" in name:
        # Norms behind a block and of queries and keys are above one, so that what they scale is not lost.
        return (0.7 if "post_" in name or "q_norm" in name or "k_norm" in name else 0.1) + 0.3 * values
    return values * (0.15 if "embed" in name else 0.25)


if __name__ == "__main__":
    make_all(CHECKPOINTS, "gemma3", random_model)
