"""Makes small random Gemma 4 text checkpoints, each with the logits and the greedy text that Transformers gives.

    python make_gemma4.py [name ...]

Writes `test/goldens/gemma4/<name>/`; `checkpoints.py` says what the files hold and what the script checks. Beyond that it
fails unless every kind of tensor moves the logits, and unless the checkpoints with towers for images and sound give the
logits of their text decoder alone.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from checkpoints import Checkpoint, load, logits_of, make, rope
from common import GOLDENS, token_ids, write_json
from transformers import AutoConfig, AutoModelForCausalLM

TEXT = dict(hidden_size=32, intermediate_size=24, num_hidden_layers=4, vocab_size=96, max_position_embeddings=128,
            num_attention_heads=4, num_key_value_heads=2, head_dim=8, global_head_dim=8, sliding_window=6,
            layer_types=["sliding_attention", "full_attention"] * 2, final_logit_softcapping=6.0,
            hidden_size_per_layer_input=0)
SHARED = dict(TEXT, num_hidden_layers=6, num_kv_shared_layers=3, global_head_dim=16, num_key_value_heads=1,
              layer_types=["sliding_attention", "sliding_attention", "full_attention"] * 2,
              hidden_size_per_layer_input=8, vocab_size_per_layer_input=96)
K_EQ_V = dict(TEXT, global_head_dim=16, num_global_key_value_heads=1, attention_k_eq_v=True)
UNIFIED = {name: value for name, value in TEXT.items() if name != "hidden_size_per_layer_input"}
UNIFIED_K_EQ_V = {name: value for name, value in K_EQ_V.items() if name != "hidden_size_per_layer_input"}
CAP = dict(final_logit_softcapping=None)


def ropes(full: dict, sliding: dict | None = None) -> dict:
    """The rotary embeddings of both kinds of layer."""
    return {"full_attention": full, "sliding_attention": sliding or rope(10000.0)}


def proportional(theta: float, partial: float, **others: float) -> dict:
    """A rotary embedding that turns the first part of a head's pairs only."""
    return {"rope_type": "proportional", "rope_theta": theta, "partial_rotary_factor": partial, **others}


PUBLISHED = ropes(proportional(1000000.0, 0.25))
VISION = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
              head_dim=8, position_embedding_size=8, patch_size=2)
AUDIO = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, subsampling_conv_channels=[4, 4],
             output_proj_dims=16, conv_kernel_size=3)
UNIFIED_VISION = dict(patch_size=2, pooling_kernel_size=2, mm_embed_dim=32, mm_posemb_size=8, output_proj_dims=32)
UNIFIED_AUDIO = dict(audio_embed_dim=16)
TOWERS = {
    "gemma4": dict(vision_config=VISION, audio_config=AUDIO),
    "gemma4_unified": dict(vision_config=UNIFIED_VISION, audio_config=UNIFIED_AUDIO),
}


def as_published(**text: object) -> Callable[[Path], None]:
    """Writes the config as the published repositories have it: what differs by kind of layer in fields of their own."""

    def rewrite(folder: Path) -> None:
        file = folder / "config.json"
        config = json.loads(file.read_text())
        inner = config.get("text_config", config)
        inner.pop("per_layer_config", None)
        inner |= {"global_head_dim": 512, "num_global_key_value_heads": None} | text
        if inner is not config:
            config |= {"text_config": dict(sorted(inner.items())), "eos_token_id": [1, 66]}
        write_json(file, dict(sorted(config.items())))

    return rewrite


def with_unused_keys(rewrite: Callable[[Path], None], shared: dict[int, int]) -> Callable[[Path], None]:
    """Gives layers that share keys and values tensors for them all the same, as the first published files had: of another layer."""

    def after(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        rewrite(folder)
        file = folder / "model.safetensors"
        tensors = load_file(file)
        for layer, like in shared.items():
            for name in [name for name in tensors if f"layers.{like}.self_attn." in name and ".k_" in name or
                         f"layers.{like}.self_attn.v_" in name]:
                tensors[name.replace(f"layers.{like}.", f"layers.{layer}.")] = tensors[name] + 1
        save_file(tensors, file, metadata={"format": "pt"})

    return after


CHECKPOINTS = [
    Checkpoint(
        "gemma4_plain", 1, "gemma4_text",
        dict(TEXT, num_key_value_heads=4, rms_norm_eps=1e-3, rope_parameters=ropes(rope(500.0))),
        must_matter=dict(CAP, rms_norm_eps=1e-6, sliding_window=128, rope_parameters=ropes(rope(10000.0))),
    ),
    Checkpoint(
        "gemma4_k_eq_v_published", 2, "gemma4_text", dict(K_EQ_V, use_bidirectional_attention="vision"),
        after_save=as_published(global_head_dim=16, num_global_key_value_heads=1),
        must_matter={**CAP, "sliding_window": 128, "rope_parameters:full": ropes(rope(1000000.0)),
                     "rope_parameters:partial": ropes(proportional(1000000.0, 0.5))},
    ),
    Checkpoint(
        "gemma4_shared_wide", 3, "gemma4_text",
        dict(SHARED, use_double_wide_mlp=True, num_kv_shared_layers=2, num_hidden_layers=5, intermediate_size=16,
             layer_types=["sliding_attention", "full_attention"] + SHARED["layer_types"][:3]),
        dtype=torch.bfloat16, must_matter=dict(CAP, sliding_window=128, hidden_activation="gelu"),
    ),
    Checkpoint(
        "gemma4_shared_bf16_shards", 4, "gemma4_text", dict(SHARED, rope_parameters=PUBLISHED, vocab_size=98,
             vocab_size_per_layer_input=98),
        dtype=torch.bfloat16, max_shard_size="30KB",
        must_matter=dict(CAP, sliding_window=128, rope_parameters=ropes(rope(10000.0))),
    ),
    Checkpoint(
        "gemma4_per_layer_f16_padded", 5, "gemma4_text",
        dict(TEXT, hidden_size_per_layer_input=16, vocab_size_per_layer_input=120, global_head_dim=12, rms_norm_eps=1e-4,
             sliding_window=9, eos_token_id=[1, 70],
             rope_parameters=ropes(proportional(100.0, 0.5, factor=2.0), proportional(50.0, 1.0))),
        dtype=torch.float16, lengths=(32, 21),
        must_matter={**CAP, "sliding_window": 128, "rms_norm_eps": 1e-2,
                     "rope_parameters:factor": ropes(proportional(100.0, 0.5), proportional(50.0, 1.0)),
                     "rope_parameters:sliding": ropes(proportional(100.0, 0.5, factor=2.0))},
    ),
    Checkpoint(
        "gemma4_every_field_f16", 26, "gemma4_text",
        dict(SHARED, attention_k_eq_v=True, num_key_value_heads=4, num_global_key_value_heads=2, use_double_wide_mlp=True,
             attention_bias=True, head_dim=12, num_kv_shared_layers=2, intermediate_size=24,
             layer_types=["full_attention", "sliding_attention", "sliding_attention", "full_attention",
                          "sliding_attention", "full_attention"],
             rope_parameters=ropes({"rope_type": "linear", "rope_theta": 100.0, "factor": 4.0}, rope(500.0))),
        dtype=torch.float16, store_head=True, lengths=(25, 32),
        must_matter={**CAP, "sliding_window": 128, "rope_parameters": ropes(rope(100.0), rope(500.0))},
    ),
    Checkpoint(
        "gemma4_own_head", 7, "gemma4_text", dict(TEXT, tie_word_embeddings=False, head_dim=16, **CAP),
        must_matter=dict(final_logit_softcapping=1.0, sliding_window=128),
    ),
    Checkpoint(
        "gemma4_unified_text_shared", 8, "gemma4_unified_text",
        dict(UNIFIED, num_hidden_layers=5, num_kv_shared_layers=2, use_double_wide_mlp=True,
             layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention",
                          "full_attention"]),
        dtype=torch.bfloat16, must_matter=dict(CAP, sliding_window=128),
    ),
    Checkpoint(
        "gemma4_with_towers_published", 19, "gemma4", dict(SHARED, use_double_wide_mlp=True, num_hidden_layers=4,
                                                         num_kv_shared_layers=2, layer_types=TEXT["layer_types"]),
        dtype=torch.bfloat16, after_save=with_unused_keys(as_published(global_head_dim=16), {2: 0, 3: 1}),
    ),
    Checkpoint(
        "gemma4_unified_with_towers_published", 30, "gemma4_unified",
        dict(UNIFIED_K_EQ_V, use_bidirectional_attention="vision"), dtype=torch.bfloat16, lengths=(32, 27),
        after_save=as_published(global_head_dim=16, num_global_key_value_heads=1),
    ),
]


def config_of(checkpoint: Checkpoint):
    """The configuration of a checkpoint, of its text decoder alone or with towers."""
    towers = TOWERS.get(checkpoint.family)
    if towers is None:
        return AutoConfig.for_model(checkpoint.family, **checkpoint.config)
    # The towers' own tokens lie beyond the vocabulary, so that no text has one by chance.
    names = ["boi", "eoi", "image", "video", "boa", "audio"]
    tokens = {f"{name}_token_id": 100 + i for i, name in enumerate(names)}
    return AutoConfig.for_model(checkpoint.family, text_config=dict(checkpoint.config), **towers, **tokens,
                                eoa_token_index=106)


def random_model(checkpoint: Checkpoint) -> torch.nn.Module:
    """A model with weights large enough that its cap, its window, its norms' scales and its layers' scalars all show."""
    model = AutoModelForCausalLM.from_config(config_of(checkpoint))
    generator = torch.Generator().manual_seed(checkpoint.seed)
    tensors = dict(model.named_parameters()) | {n: b for n, b in model.named_buffers() if n.endswith("layer_scalar")}
    with torch.no_grad():
        for name, tensor in sorted(tensors.items()):
            values = torch.randn(tensor.shape, generator=generator)
            if name.endswith("layer_scalar"):
                tensor.copy_(0.8 + 0.15 * values)
            elif "norm" in name:
                # Queries and keys are multiplied without a scale, so that their norms' weights make attention pointed; what
                # blocks add stays below what they are added to, lest rounding grow from block to block.
                mean = 0.3 if "k_norm" in name else 0.5 if "post_" in name else 0.9
                tensor.copy_(mean + 0.25 * values)
            else:
                # A gate of which all is far below zero would leave a norm nothing but rounding to enlarge.
                tensor.copy_(values * (0.15 if "embed" in name else 0.1 if "input_gate" in name else 0.25))
    return model


def check_tensors(checkpoint: Checkpoint) -> None:
    """Ends with an error unless each kind of tensor of the text decoder moves the logits."""
    folder = GOLDENS / "gemma4" / checkpoint.name
    ids = token_ids((1, checkpoint.time), checkpoint.config["vocab_size"], checkpoint.seed)
    mask = np.ones_like(ids)
    model = load(folder)
    logits = logits_of(model, ids, mask)
    # The last scalar is before a norm, which does not see it but by its epsilon.
    last = f"layers.{checkpoint.config['num_hidden_layers'] - 1}.layer_scalar"
    state = {name: tensor for name, tensor in model.state_dict().items()
             if "vision" not in name and "audio" not in name and not name.endswith(last)}
    generator = torch.Generator().manual_seed(checkpoint.seed)
    with torch.no_grad():
        for name, tensor in state.items():
            kept = tensor.clone()
            tensor.mul_(1 + 0.5 * torch.randn(tensor.shape, generator=generator))
            moved = float(np.abs(logits_of(model, ids, mask) - logits).max())
            assert moved > 1e-3, f"{checkpoint.name}: {name} moves the logits by {moved} only"
            tensor.copy_(kept)


def check_decoder_alone(checkpoint: Checkpoint) -> None:
    """Ends with an error unless a checkpoint with towers gives, for text, the logits of its decoder alone."""
    folder = GOLDENS / "gemma4" / checkpoint.name
    whole = load(folder)
    alone = AutoModelForCausalLM.from_config(whole.config.text_config, attn_implementation="eager").eval()
    prefix = "model.language_model."
    alone.load_state_dict({name.replace(prefix, "model."): tensor for name, tensor in whole.state_dict().items()
                           if name.startswith(prefix) or name == "lm_head.weight"})
    ids = token_ids((1, checkpoint.time), checkpoint.config["vocab_size"], checkpoint.seed)
    mask = np.ones_like(ids)
    apart = float(np.abs(logits_of(whole, ids, mask) - logits_of(alone, ids, mask)).max())
    assert apart < 1e-6, f"{checkpoint.name}: the decoder alone is {apart} away"


if __name__ == "__main__":
    wanted = sys.argv[1:]
    unknown = set(wanted) - {checkpoint.name for checkpoint in CHECKPOINTS}
    if unknown:
        sys.exit(f"No such checkpoint: {', '.join(sorted(unknown))}")
    for each in CHECKPOINTS:
        if not wanted or each.name in wanted:
            make(each, "gemma4", random_model)
            check_tensors(each)
            if each.family in TOWERS:
                check_decoder_alone(each)
