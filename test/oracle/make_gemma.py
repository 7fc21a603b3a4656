"""Makes small random Gemma 1 and Gemma 2 checkpoints, each with the logits and the greedy text that Transformers gives.

    python make_gemma.py [name ...]

Writes `test/goldens/gemma/<name>/`; `checkpoints.py` says what the files hold and what the script checks.
"""

import torch
from checkpoints import Checkpoint, make_all, rope
from transformers import Gemma2Config, Gemma2ForCausalLM, GemmaConfig, GemmaForCausalLM

GEMMA_1 = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, vocab_size=128, max_position_embeddings=128)
GEMMA_2 = dict(GEMMA_1, num_hidden_layers=3, query_pre_attn_scalar=16, sliding_window=6,
               attn_logit_softcapping=2.0, final_logit_softcapping=6.0)
CAPS = dict(attn_logit_softcapping=None, final_logit_softcapping=None)

CHECKPOINTS = [
    Checkpoint(
        "gemma1_mha", 1, "gemma",
        dict(GEMMA_1, num_attention_heads=2, num_key_value_heads=2, head_dim=16),
        must_matter=dict(rope_parameters=rope(500.0)),
    ),
    Checkpoint(
        "gemma1_mqa_old", 2, "gemma",
        dict(GEMMA_1, num_attention_heads=4, num_key_value_heads=1, head_dim=24, rope_parameters=rope(500.0)),
        # The first Gemma repositories say "gelu" and mean the tanh approximation.
        old_spelling=dict(hidden_act="gelu", rope_theta=500.0, rope_scaling=None, torch_dtype="float32"),
        must_matter=dict(rope_parameters=rope(10000.0)),
    ),
    Checkpoint(
        "gemma1_gqa_bf16_padded", 3, "gemma",
        dict(GEMMA_1, num_attention_heads=4, num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-3,
             num_hidden_layers=3),
        dtype=torch.bfloat16, lengths=(32, 19), must_matter=dict(rms_norm_eps=1e-6),
    ),
    # The configs of Gemma 1.1 and of CodeGemma name the activation in two fields, of which one may be null or say "gelu".
    Checkpoint(
        "gemma11_gqa_old", 12, "gemma",
        dict(GEMMA_1, num_attention_heads=4, num_key_value_heads=2, head_dim=8, rope_parameters=rope(500.0)),
        old_spelling=dict(hidden_act="gelu_pytorch_tanh", hidden_activation=None, rope_theta=500.0,
                          rope_scaling=None, torch_dtype="float32"),
        must_matter=dict(rope_parameters=rope(10000.0)),
    ),
    Checkpoint(
        "codegemma_mqa_old", 13, "gemma",
        dict(GEMMA_1, num_attention_heads=2, num_key_value_heads=1, head_dim=16, eos_token_id=[1, 70]),
        dtype=torch.bfloat16,
        old_spelling=dict(hidden_act="gelu", hidden_activation="gelu_pytorch_tanh", rope_theta=10000.0,
                          rope_scaling=None, torch_dtype="bfloat16"),
        must_matter=dict(rope_parameters=rope(500.0)),
    ),
    Checkpoint(
        "gemma2_gqa", 4, "gemma2",
        dict(GEMMA_2, num_attention_heads=4, num_key_value_heads=2, head_dim=12, query_pre_attn_scalar=20,
             num_hidden_layers=4),
        must_matter=dict(CAPS, query_pre_attn_scalar=12, sliding_window=128),
    ),
    Checkpoint(
        "gemma2_mqa_padded", 5, "gemma2",
        dict(GEMMA_2, num_attention_heads=4, num_key_value_heads=1, head_dim=16, rms_norm_eps=1e-3,
             rope_parameters=rope(100000.0), query_pre_attn_scalar=8, sliding_window=9),
        lengths=(32, 21),
        must_matter=dict(CAPS, rms_norm_eps=1e-6, rope_parameters=rope(10000.0), query_pre_attn_scalar=16,
                         sliding_window=128),
    ),
    Checkpoint(
        "gemma2_mha_old", 6, "gemma2",
        dict(GEMMA_2, num_attention_heads=2, num_key_value_heads=2, head_dim=24, sliding_window=5,
             rope_parameters=rope(500.0), query_pre_attn_scalar=16),
        old_spelling=dict(hidden_act="gelu_pytorch_tanh", rope_theta=500.0, rope_scaling=None, torch_dtype="float32",
                          cache_implementation="hybrid"),
        must_matter=dict(CAPS, rope_parameters=rope(10000.0), sliding_window=128, query_pre_attn_scalar=24),
    ),
    Checkpoint(
        "gemma2_bf16_shards", 7, "gemma2",
        dict(GEMMA_2, num_attention_heads=8, num_key_value_heads=4, head_dim=8, sliding_window=8, vocab_size=131,
             query_pre_attn_scalar=4),
        dtype=torch.bfloat16, max_shard_size="20KB",
        must_matter=dict(CAPS, sliding_window=128, query_pre_attn_scalar=8),
    ),
    Checkpoint(
        "gemma2_f16", 8, "gemma2",
        dict(GEMMA_2, num_attention_heads=4, num_key_value_heads=2, head_dim=16, sliding_window=10,
             rms_norm_eps=1e-5, eos_token_id=[1, 107]),
        dtype=torch.float16, must_matter=dict(CAPS, sliding_window=128, rms_norm_eps=1e-3),
    ),
    Checkpoint(
        "gemma2_head_in_file", 9, "gemma2",
        dict(GEMMA_2, num_attention_heads=2, num_key_value_heads=1, head_dim=16, hidden_size=48, sliding_window=7),
        store_head=True, must_matter=dict(CAPS, sliding_window=128, hidden_activation="gelu"),
    ),
    Checkpoint(
        "gemma2_no_caps", 10, "gemma2",
        dict(GEMMA_2, num_attention_heads=4, num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=64, **CAPS),
        must_matter=dict(attn_logit_softcapping=2.0, final_logit_softcapping=6.0, sliding_window=128,
                         query_pre_attn_scalar=16),
    ),
    Checkpoint(
        "gemma2_old_f16_shards_padded", 11, "gemma2",
        dict(GEMMA_2, num_attention_heads=4, num_key_value_heads=4, head_dim=4, sliding_window=4,
             query_pre_attn_scalar=2),
        dtype=torch.float16, max_shard_size="30KB", lengths=(32, 25),
        old_spelling=dict(hidden_act="gelu_pytorch_tanh", rope_theta=10000.0, torch_dtype="float16"),
        must_matter=dict(CAPS, sliding_window=128, query_pre_attn_scalar=4),
    ),
]

FAMILIES = {"gemma": (GemmaConfig, GemmaForCausalLM), "gemma2": (Gemma2Config, Gemma2ForCausalLM)}


def random_model(checkpoint: Checkpoint) -> torch.nn.Module:
    """A model with weights large enough that its caps, its window and its norms' scales all show."""
    config_class, model_class = FAMILIES[checkpoint.family]
    config = config_class(**checkpoint.config, attn_implementation="eager")
    model = model_class(config)
    generator = torch.Generator().manual_seed(checkpoint.seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = torch.randn(parameter.shape, generator=generator)
            if "norm" in name:
                # Post-norms above one keep the blocks' output ahead of the embedding that they are added to.
                mean = 0.7 if "post_" in name and checkpoint.family == "gemma2" else 0.1
                parameter.copy_(mean + 0.3 * values)
            else:
                parameter.copy_(values * (0.15 if "embed" in name else 0.25))
    return model


if __name__ == "__main__":
    make_all(CHECKPOINTS, "gemma", random_model)
