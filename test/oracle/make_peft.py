"""Makes PEFT LoRA adapters over small checkpoints, their logits, and the losses of 15 training steps.

    python make_peft.py [name ...]

Run the scripts that make the bases first. Writes `test/goldens/peft/<name>/adapter/` (saved by PEFT), `golden.json` (base checkpoint
and hyperparameters) and `golden.safetensors`:

    input_ids        int32   [batch, time]
    logits           float32 [batch, time, vocab]         with the saved adapter
    train_ids        int32   [steps, batch, time]
    train_attention  int32   [steps, batch, time]         1 = a token, 0 = padding on the right
    train_mask       float32 [steps, batch, time]         1 = this token is a label
    losses           float32 [steps]                      before the step's update
    grad_norms       float32 [steps]                      before clipping
    final_logits     float32 [batch, time, vocab]         of input_ids after the last step
    final.<key>      float32                              the adapter after the last step, keys as in its file

The loss of a step is the sum over t >= 1 of train_mask[t] * CE(logits[t - 1], train_ids[t]), over the sum of
train_mask[:, 1:]. Training starts from the saved adapter.
"""

import json
import shutil
import sys

import numpy as np
from common import GOLDENS, made_with, quiet_transformers, token_ids, write_golden, write_json

quiet_transformers()
import torch  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

VERSIONS = made_with("torch", "transformers", "peft", "safetensors", "numpy")
STEPS, BATCH, TIME = 15, 3, 20
OPTIMIZER = {"learning_rate": 1e-2, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "weight_decay": 0.01}

ALL_LINEAR = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
ADAPTERS = {
    "query_value": {
        "base": "gemma/gemma2_gqa", "seed": 21, "r": 4, "alpha": 8, "clip_norm": 1.0, "targets": ["q_proj", "v_proj"],
    },
    "all_linear": {
        "base": "gemma/gemma2_bf16_shards", "seed": 22, "r": 2, "alpha": 2, "clip_norm": 0.7,
        "targets": ALL_LINEAR,
    },
    "llama_all_linear": {
        "base": "llama/llama31_bf16_shards_old", "seed": 23, "r": 3, "alpha": 6, "clip_norm": 0.8, "targets": ALL_LINEAR,
    },
    "llama_tied": {
        "base": "llama/llama32_tied_padded", "seed": 24, "r": 2, "alpha": 4, "clip_norm": 0.8,
        "targets": ["k_proj", "o_proj", "up_proj"],
    },
    "llama_biased": {
        "base": "llama/llama_biases_bf16_shards_old", "seed": 25, "r": 2, "alpha": 4, "clip_norm": 0.8,
        "targets": ["q_proj", "o_proj", "up_proj"],
    },
    "qwen2_all_linear": {
        "base": "qwen2/qwen25_window_padded", "seed": 26, "r": 2, "alpha": 4, "clip_norm": 0.8, "targets": ALL_LINEAR,
    },
    "qwen3_tied": {
        "base": "qwen3/qwen3_tied", "seed": 27, "r": 3, "alpha": 3, "clip_norm": 0.5,
        "targets": ["q_proj", "k_proj", "v_proj", "down_proj"],
    },
    "gemma3_all_linear": {
        "base": "gemma3/gemma3_bf16_shards", "seed": 26, "r": 2, "alpha": 4, "clip_norm": 0.7, "targets": ALL_LINEAR,
    },
    "gemma4_per_layer": {
        "base": "gemma4/gemma4_per_layer_f16_padded", "seed": 46, "r": 2, "alpha": 4, "clip_norm": 0.8,
        "targets": sorted([*ALL_LINEAR, "per_layer_input_gate", "per_layer_model_projection", "per_layer_projection"]),
    },
    "gemma4_shared": {
        "base": "gemma4/gemma4_shared_bf16_shards", "seed": 42, "r": 2, "alpha": 4, "clip_norm": 0.8,
        "targets": ALL_LINEAR,
    },
    "mistral_all_linear": {
        "base": "mistral/mistral_layer_types_bf16_padded_old", "seed": 61, "r": 2, "alpha": 4, "clip_norm": 0.8,
        "targets": ALL_LINEAR,
    },
    "smollm3_all_linear": {
        "base": "smollm3/smollm3_window_padded", "seed": 81, "r": 2, "alpha": 4, "clip_norm": 0.8, "targets": ALL_LINEAR,
    },
    # One adapter for the three projections, or the two, that one tensor holds.
    "phi3_fused": {
        "base": "phi3/phi3_gqa_bf16_shards_padded", "seed": 26, "r": 3, "alpha": 6, "clip_norm": 0.8,
        "targets": ["gate_up_proj", "qkv_proj"],
    },
    "phi3_output": {
        "base": "phi3/phi4_mini_tied_partial_old", "seed": 27, "r": 2, "alpha": 4, "clip_norm": 0.8,
        "targets": ["down_proj", "o_proj"],
    },
    # Ranks and alphas that differ by module: by an end of a name, by an expression, and where the first of two matches counts.
    "llama_patterns": {
        "base": "llama/llama32_tied_padded", "seed": 28, "r": 2, "alpha": 4, "clip_norm": 0.8, "targets": ALL_LINEAR,
        "fields": {
            "rank_pattern": {"layers.1.self_attn.q_proj": 4, "self_attn.q_proj": 3, "down_proj": 1},
            "alpha_pattern": {r"^model\.layers\.0\.(mlp|self_attn)\.[gv].*": 6, "q_proj": 2},
            "fan_in_fan_out": True,
        },
    },
    "phi3_rslora_all_linear": {
        "base": "phi3/phi3_gqa_bf16_shards_padded", "seed": 29, "r": 4, "alpha": 4, "clip_norm": 0.8, "targets": "all-linear",
        "fields": {"use_rslora": True, "rank_pattern": {"qkv_proj": 2}, "alpha_pattern": {"o_proj": 6}},
    },
    "qwen2_some_layers": {
        "base": "qwen2/qwen25_window_padded", "seed": 30, "r": 2, "alpha": 4, "clip_norm": 0.8, "targets": ALL_LINEAR,
        "fields": {"layers_to_transform": [1], "exclude_modules": ["k_proj"], "init_lora_weights": "gaussian"},
    },
}


def load_base(name: str) -> torch.nn.Module:
    """The base checkpoint in float32 with eager attention."""
    folder = GOLDENS / name
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")


def save_adapter(name: str, spec: dict) -> None:
    """Saves an adapter whose A and B are both random, so that it changes the logits from the start."""
    config = LoraConfig(r=spec["r"], lora_alpha=spec["alpha"], target_modules=spec["targets"], lora_dropout=0.0,
                        bias="none", task_type="CAUSAL_LM", **spec.get("fields", {}))
    model = get_peft_model(load_base(spec["base"]), config)
    generator = torch.Generator().manual_seed(spec["seed"])
    with torch.no_grad():
        for key, parameter in sorted(model.named_parameters()):
            if "lora_" in key:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    model.peft_config["default"].base_model_name_or_path = spec["base"]
    folder = GOLDENS / "peft" / name / "adapter"
    shutil.rmtree(folder.parent, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    # PEFT writes the targets in the order of a Python set, which differs from run to run.
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text())
    lists = {name: sorted(config[name]) for name in ("target_modules", "exclude_modules") if config[name] is not None}
    # PEFT clears fan_in_fan_out for linear layers; a file may well have it.
    fan = spec.get("fields", {}).get("fan_in_fan_out", config["fan_in_fan_out"])
    write_json(file, config | lists | {"fan_in_fan_out": fan})


def training_data(vocabulary: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Texts that follow a rule (so that there is something to learn), padded, with a prompt that is not a label."""
    random = np.random.default_rng(seed)
    ids = np.zeros((STEPS, BATCH, TIME), np.int32)
    attention, mask = np.zeros_like(ids), np.zeros(ids.shape, np.float32)
    for step in range(STEPS):
        for row in range(BATCH):
            length = TIME if row == 0 else int(random.integers(TIME // 2, TIME))
            prompt = int(random.integers(0, 5))
            text = [int(random.integers(0, 12))]
            while len(text) < length:
                text.append((text[-1] + 5) % 12)
            ids[step, row, :length] = np.array(text) * 7 + 11
            attention[step, row, :length] = 1
            mask[step, row, prompt:length] = 1
    assert ids.max() < vocabulary
    return ids, attention, mask


def loss_of(model: torch.nn.Module, ids: np.ndarray, attention: np.ndarray, mask: np.ndarray) -> torch.Tensor:
    """The mean cross-entropy over the tokens that are labels."""
    ids = torch.from_numpy(ids).long()
    logits = model(input_ids=ids, attention_mask=torch.from_numpy(attention).long()).logits
    losses = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    weights = torch.from_numpy(mask)[:, 1:]
    return (losses * weights).sum() / weights.sum()


def logits_of(model: torch.nn.Module, ids: np.ndarray) -> np.ndarray:
    """The logits `[batch, time, vocab]` of unpadded ids."""
    with torch.no_grad():
        return model(input_ids=torch.from_numpy(ids).long()).logits.numpy()


def train(model: torch.nn.Module, clip_norm: float, ids: np.ndarray, attention: np.ndarray, mask: np.ndarray):
    """Runs every step of AdamW; gives the losses and the norms before clipping."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=OPTIMIZER["learning_rate"], betas=(OPTIMIZER["beta_1"], OPTIMIZER["beta_2"]),
        eps=OPTIMIZER["epsilon"], weight_decay=OPTIMIZER["weight_decay"])
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model, ids[step], attention[step], mask[step])
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(trained, clip_norm)))
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, norms


def exact_losses(name: str, spec: dict, data: tuple) -> list:
    """The same losses in float64; right padding changes no label, and Transformers' mask of it would overflow here."""
    model = PeftModel.from_pretrained(load_base(spec["base"]), GOLDENS / "peft" / name / "adapter", is_trainable=True)
    ids, attention, mask = data
    return train(model.double(), spec["clip_norm"], ids, np.ones_like(attention), mask.astype(np.float64))[0]


def make(name: str, spec: dict) -> None:
    """Writes one adapter with its golden."""
    save_adapter(name, spec)
    folder = GOLDENS / "peft" / name
    base = load_base(spec["base"])
    vocabulary = base.config.vocab_size
    input_ids = token_ids((2, 24), vocabulary, spec["seed"])
    base_logits = logits_of(base, input_ids)
    model = PeftModel.from_pretrained(base, folder / "adapter", is_trainable=True)
    logits = logits_of(model, input_ids)

    ids, attention, mask = training_data(vocabulary, spec["seed"])
    losses, norms = train(model, spec["clip_norm"], ids, attention, mask)
    final_logits = logits_of(model, input_ids)
    final = {f"final.{key}": value.numpy() for key, value in get_peft_model_state_dict(model).items()}

    exact = np.array(exact_losses(name, spec, (ids, attention, mask)))
    rounding = float(np.max(np.abs(exact - losses) / exact))
    assert rounding < 5e-5, f"{name}: the losses are {rounding} (relative) from those in float64"
    moved = float(np.abs(logits - base_logits).max())
    assert moved > 0.1, f"{name}: the adapter moves the logits by {moved} only"
    assert losses[-1] < 0.8 * losses[0], f"{name}: the loss goes from {losses[0]} to {losses[-1]} only"
    assert max(norms) > spec["clip_norm"], f"{name}: nothing is clipped: {norms}"
    write_golden(folder / "golden.safetensors", {
        "input_ids": input_ids, "logits": logits, "train_ids": ids, "train_attention": attention, "train_mask": mask,
        "losses": np.array(losses, np.float32), "grad_norms": np.array(norms, np.float32),
        "final_logits": final_logits, **final,
    }, VERSIONS)
    write_json(folder / "golden.json", {
        "base": spec["base"], "r": spec["r"], "alpha": spec["alpha"], "targets": spec["targets"], "dropout": 0,
        "trainable": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        "steps": STEPS, "optimizer": OPTIMIZER | {"clip_norm": spec["clip_norm"]},
        "made_with": VERSIONS,
    })
    print(f"{name}: moved {moved:.2f}, loss {losses[0]:.3f} -> {losses[-1]:.3f}, "
          f"norms {min(norms):.2f}..{max(norms):.2f}, rounding {rounding:.1e}", flush=True)


if __name__ == "__main__":
    wanted = sys.argv[1:]
    unknown = set(wanted) - set(ADAPTERS)
    if unknown:
        sys.exit(f"No such adapter: {', '.join(sorted(unknown))}")
    for each, details in ADAPTERS.items():
        if not wanted or each in wanted:
            make(each, details)
