"""Makes small random PaliGemma 1 and 2 checkpoints, each with what Transformers computes with it.

    python make_pali_gemma.py [name ...]

Writes `test/goldens/pali_gemma/<name>/`: a Hugging Face folder and `golden.safetensors` beside it:

    pixels          int32   [images, size, size, 3] each row's images after those of the row before
    input_ids       int32   [batch, time]           image tokens, prompt and suffix, padded on the right
    attention_mask  int32   [batch, time]
    token_type_ids  int32   [batch, time]           1 at the suffix, which is what counts in the loss
    logits          float32 [batch, time, vocab]    with the prefix mask, float32; zero at padded positions
    loss            float32 []                      the mean over the suffixes' tokens
    prompt_ids      int32   [1, prompt]             the first row without its suffix
    prompt_logits   float32 [1, prompt, vocab]      all of it is a prefix
    greedy          int32   [1, new]                the tokens that follow the prompt

The script ends with an error unless each thing that a checkpoint is there for (its image, the prefix mask, its window, its
caps, its epsilon) moves the logits by far more than the tolerance of the tests, and unless float32 agrees with float64.
"""

import json
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import GOLDENS, made_with, quiet_transformers, token_ids, write_golden, write_json

quiet_transformers()
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration  # noqa: E402

NEW_TOKENS = 16
VERSIONS = made_with("torch", "transformers", "safetensors", "numpy")


@dataclass
class Checkpoint:
    """One folder: its model, its sizes, how its files are written, and the fields that must matter."""

    name: str
    seed: int
    text: dict
    vision: dict
    image_token: int = 127
    names: str = "new"
    """`new` as Transformers 5 has them in memory, `old` as the published repositories have them, or `mixed`."""
    old_config: bool = False
    dtype: torch.dtype = torch.float32
    max_shard_size: str = "10GB"
    prompts: tuple[int, int] = (7, 4)
    """The tokens of each row's prompt."""
    suffixes: tuple[int, int] = (9, 12)
    """The tokens of each row's suffix."""
    images: int = 1
    """The images of a row."""
    store_head: bool = False
    """Whether the file holds the head although it is tied to the embedding, as some fine-tunes do."""
    must_matter: dict = field(default_factory=dict)
    """Path of a config field, with the value that must give other logits."""


GEMMA_1 = dict(model_type="gemma", hidden_size=32, intermediate_size=64, num_hidden_layers=2, vocab_size=128,
               num_attention_heads=4, num_key_value_heads=1, head_dim=16, max_position_embeddings=256)
GEMMA_2 = dict(GEMMA_1, model_type="gemma2", num_hidden_layers=3, num_key_value_heads=2, query_pre_attn_scalar=12,
               sliding_window=6, attn_logit_softcapping=2.0, final_logit_softcapping=6.0)
SIGLIP = dict(model_type="siglip_vision_model", hidden_size=24, intermediate_size=40, num_hidden_layers=2,
              num_attention_heads=2, image_size=28, patch_size=7, vision_use_head=False)
CAPS = {"text_config.attn_logit_softcapping": None, "text_config.final_logit_softcapping": None}
"""The soft caps that must matter. Transformers 5.23 applies that of the logits, 5.18 did not."""

CHECKPOINTS = [
    Checkpoint("pali1_mqa_old_names", 1, GEMMA_1, SIGLIP, names="old", old_config=True,
               must_matter={"vision_config.hidden_act": "gelu"}),
    # 30 pixels are two patches of 14 and two pixels that belong to none.
    Checkpoint("pali1_gqa_bf16_cropped", 2, dict(GEMMA_1, num_key_value_heads=2, head_dim=12),
               dict(SIGLIP, image_size=30, patch_size=14, num_attention_heads=3, layer_norm_eps=3e-2),
               dtype=torch.bfloat16, must_matter={"vision_config.layer_norm_eps": 1e-6}),
    # As with Keras's presets of 257,152 tokens, the image token is the first beyond the vocabulary.
    Checkpoint("pali1_two_images_mixed_names", 3, dict(GEMMA_1, hidden_size=48, num_key_value_heads=4, rms_norm_eps=1e-3),
               dict(SIGLIP, image_size=16, patch_size=8, num_hidden_layers=3), image_token=128, names="mixed", images=2,
               must_matter={"text_config.rms_norm_eps": 1e-6}),
    Checkpoint("pali2_gqa_window", 4, GEMMA_2, SIGLIP,
               must_matter=CAPS | {"text_config.sliding_window": 256, "text_config.query_pre_attn_scalar": 16}),
    Checkpoint("pali2_mqa_old_names_bf16_shards", 5, dict(GEMMA_2, num_key_value_heads=1, sliding_window=5),
               dict(SIGLIP, image_size=20, patch_size=4, hidden_size=36, num_attention_heads=3), names="old",
               old_config=True, dtype=torch.bfloat16, max_shard_size="40KB",
               must_matter=CAPS | {"text_config.sliding_window": 256}),
    Checkpoint("pali2_f16_long_prompt", 6,
               dict(GEMMA_2, hidden_size=40, head_dim=8, query_pre_attn_scalar=20, num_attention_heads=8,
                    num_key_value_heads=4, sliding_window=7),
               dict(SIGLIP, image_size=12, patch_size=6, intermediate_size=50), dtype=torch.float16,
               prompts=(14, 20), suffixes=(16, 6), must_matter=CAPS | {"text_config.sliding_window": 256}),
    Checkpoint("pali2_mha_old_names", 7,
               dict(GEMMA_2, num_attention_heads=2, num_key_value_heads=2, head_dim=24, query_pre_attn_scalar=30,
                    rms_norm_eps=3e-3),
               dict(SIGLIP, patch_size=14, num_hidden_layers=1, layer_norm_eps=3e-2), names="old",
               must_matter={"text_config.rms_norm_eps": 1e-6, "vision_config.layer_norm_eps": 1e-6,
                            "text_config.query_pre_attn_scalar": 24}),
    # 64 patches: four times as many as the others have, as 448 pixels are to 224.
    Checkpoint("pali1_many_patches_f16", 8, dict(GEMMA_1, hidden_size=40, num_attention_heads=2, num_key_value_heads=1,
                                             head_dim=24),
               dict(SIGLIP, image_size=32, patch_size=4, hidden_size=32, num_attention_heads=4),
               dtype=torch.float16, must_matter={"vision_config.hidden_act": "gelu"}),
    Checkpoint("pali1_f16_shards", 9, dict(GEMMA_1, num_attention_heads=2, num_key_value_heads=2, rms_norm_eps=1e-3),
               dict(SIGLIP, image_size=21, hidden_size=20, num_attention_heads=1), dtype=torch.float16,
               max_shard_size="40KB", must_matter={"text_config.rms_norm_eps": 1e-6}),
    Checkpoint("pali1_old_names_head_in_file_bf16", 10, dict(GEMMA_1, num_attention_heads=8, num_key_value_heads=4,
                                                             head_dim=8, num_hidden_layers=3),
               dict(SIGLIP, image_size=24, patch_size=8, num_hidden_layers=1), names="old", old_config=True,
               dtype=torch.bfloat16, store_head=True, prompts=(3, 11), suffixes=(8, 5),
               must_matter={"vision_config.hidden_act": "gelu"}),
    Checkpoint("pali2_many_patches_bf16_shards", 11,
               dict(GEMMA_2, num_hidden_layers=2, num_key_value_heads=4, sliding_window=9),
               dict(SIGLIP, image_size=32, patch_size=4, hidden_size=36, num_attention_heads=3), dtype=torch.bfloat16,
               max_shard_size="40KB", prompts=(6, 9), suffixes=(14, 8),
               must_matter=CAPS | {"text_config.sliding_window": 256}),
    Checkpoint("pali2_mixed_names_head_in_file", 12,
               dict(GEMMA_2, hidden_size=24, intermediate_size=48, num_attention_heads=2, num_key_value_heads=1,
                    head_dim=20, query_pre_attn_scalar=6),
               dict(SIGLIP, image_size=30, patch_size=10, layer_norm_eps=3e-2), names="mixed", old_config=True,
               image_token=128, store_head=True,
               must_matter=CAPS | {"text_config.sliding_window": 256, "text_config.query_pre_attn_scalar": 20,
                                   "vision_config.layer_norm_eps": 1e-6}),
]

OLD_NAMES = [
    (r"^model\.language_model\.", "language_model.model."),
    (r"^model\.vision_tower\.", "vision_tower.vision_model."),
    (r"^model\.multi_modal_projector\.", "multi_modal_projector."),
]
"""From the names in memory to those of the published repositories."""
MIXED_NAMES = [OLD_NAMES[0], (r"^model\.vision_tower\.", "vision_tower."), OLD_NAMES[2]]
"""The same for a tower without its `vision_model`."""
RENAMES = {"new": [], "old": OLD_NAMES, "mixed": MIXED_NAMES}


def config_of(checkpoint: Checkpoint) -> PaliGemmaConfig:
    """The configuration of a checkpoint."""
    width = checkpoint.text["hidden_size"]
    return PaliGemmaConfig(
        text_config=dict(checkpoint.text), vision_config=dict(checkpoint.vision, projection_dim=width),
        image_token_index=checkpoint.image_token, projection_dim=width, hidden_size=width,
        vocab_size=checkpoint.text["vocab_size"], bos_token_id=2, eos_token_id=1, pad_token_id=0,
    )


def random_model(checkpoint: Checkpoint) -> torch.nn.Module:
    """A model with weights large enough that its image, its caps and its window show."""
    model = PaliGemmaForConditionalGeneration(config_of(checkpoint))
    generator = torch.Generator().manual_seed(checkpoint.seed)
    second = checkpoint.text["model_type"] == "gemma2"
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = torch.randn(parameter.shape, generator=generator)
            if "vision_tower" in name and ("norm" in name or name.endswith("bias")):
                parameter.copy_((1 if "norm" in name and name.endswith("weight") else 0) + 0.3 * values)
            elif "norm" in name:
                mean = 0.7 if "post_" in name and second else 0.1
                parameter.copy_(mean + 0.3 * values)
            elif "multi_modal_projector" in name:
                parameter.copy_(values * 0.2)
            else:
                parameter.copy_(values * (0.15 if "embed" in name and "patch" not in name else 0.25))
    return model


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Writes the folder: weights under the names wanted, and the config in the spelling wanted."""
    model = random_model(checkpoint).to(checkpoint.dtype)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, max_shard_size=checkpoint.max_shard_size)
    rename_tensors(folder, model, checkpoint.names)
    if checkpoint.store_head:
        store_head(folder, checkpoint.names)
    if checkpoint.old_config:
        write_json(folder / "config.json", old_config(checkpoint))


def rename_tensors(folder: Path, model: torch.nn.Module, names: str) -> None:
    """Gives the tensors of a saved folder the names of one of `RENAMES`."""
    canonical = {name for name, _ in model.named_parameters() if not name.startswith("lm_head")}

    def rename(saved: str) -> str:
        # Transformers saves under the old names or the new ones, as its version has it: go by the part that both share.
        tail = re.sub(r"^(model\.)?(language_model|vision_tower|multi_modal_projector)\.(model\.|vision_model\.)?", "",
                      saved)
        [name] = [name for name in canonical if name.endswith("." + tail) and
                  any(part in name and part in saved
                      for part in ("language_model", "vision_tower", "multi_modal_projector"))]
        for pattern, replacement in RENAMES[names]:
            name = re.sub(pattern, replacement, name)
        return name

    for file in sorted(folder.glob("*.safetensors")):
        save_file({rename(name): tensor for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    index = folder / "model.safetensors.index.json"
    if index.exists():
        value = json.loads(index.read_text())
        value["weight_map"] = {rename(name): file for name, file in value["weight_map"].items()}
        write_json(index, value)


def store_head(folder: Path, names: str) -> None:
    """Writes the tied head into a folder of one file, too."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    [embedding] = [tensor for name, tensor in weights.items() if name.endswith("embed_tokens.weight")]
    name = "lm_head.weight" if names == "new" else "language_model.lm_head.weight"
    save_file(weights | {name: embedding.clone()}, file, metadata={"format": "pt"})


def old_config(checkpoint: Checkpoint) -> dict:
    """The config.json as Google's repositories have it, with defaults left out."""
    width = checkpoint.text["hidden_size"]
    patches = (checkpoint.vision["image_size"] // checkpoint.vision["patch_size"]) ** 2
    dtype = str(checkpoint.dtype).removeprefix("torch.")
    return {
        "_vocab_size": checkpoint.text["vocab_size"],
        "architectures": ["PaliGemmaForConditionalGeneration"],
        "bos_token_id": 2, "eos_token_id": 1, "hidden_size": width, "ignore_index": -100,
        "image_token_index": checkpoint.image_token, "model_type": "paligemma", "pad_token_id": 0,
        "projection_dim": width,
        "text_config": dict(checkpoint.text, num_image_tokens=patches, torch_dtype=dtype),
        "torch_dtype": dtype, "transformers_version": "4.41.0.dev0",
        "vision_config": dict(checkpoint.vision, num_image_tokens=patches, projection_dim=width,
                              projector_hidden_act="gelu_fast", torch_dtype=dtype),
    }


def load(folder: Path, dtype: torch.dtype = torch.float32, **overrides) -> torch.nn.Module:
    """Loads the folder as Transformers does, in `dtype`, with eager attention; overrides are paths of config fields."""
    config = PaliGemmaConfig.from_pretrained(folder)
    for path, value in overrides.items():
        part, name = path.split(".")
        setattr(getattr(config, part), name, value)
    model, report = PaliGemmaForConditionalGeneration.from_pretrained(
        folder, config=config, dtype=dtype, attn_implementation="eager", output_loading_info=True)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not report[problem], f"{folder.name}: {problem} {report[problem]}"
    return model.eval()


def inputs_of(checkpoint: Checkpoint, seed: int) -> dict[str, np.ndarray]:
    """Two rows of images, prompts and suffixes of unequal lengths."""
    size = checkpoint.vision["image_size"]
    patches = (size // checkpoint.vision["patch_size"]) ** 2 * checkpoint.images
    rows = []
    for row, (prompt, suffix) in enumerate(zip(checkpoint.prompts, checkpoint.suffixes)):
        text = token_ids((prompt + suffix,), checkpoint.text["vocab_size"] - 1, seed * 10 + row)
        rows.append(([checkpoint.image_token] * patches + text.tolist(), patches + prompt))
    time = max(len(ids) for ids, _ in rows)
    ids, mask, types = (np.zeros((2, time), np.int32) for _ in range(3))
    for row, (tokens, start) in enumerate(rows):
        ids[row, :len(tokens)] = tokens
        mask[row, :len(tokens)] = 1
        types[row, start:len(tokens)] = 1
    shape = (2 * checkpoint.images, size, size, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.int32)
    return {"pixels": pixels, "input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def tensors(arrays: dict[str, np.ndarray], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The arguments of Transformers' model."""
    arguments = {name: torch.from_numpy(arrays[name]).long()
                 for name in ("input_ids", "attention_mask", "token_type_ids")}
    # As SiglipImageProcessor makes them: rescaled, less the mean 0.5, over the deviation 0.5.
    values = (torch.from_numpy(arrays["pixels"]).to(dtype) * (1 / 255) - 0.5) / 0.5
    return arguments | {"pixel_values": values.permute(0, 3, 1, 2)}


@torch.no_grad()
def run(model: torch.nn.Module, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """The logits `[batch, time, vocab]`, zero at padded positions, and the mean loss over the suffixes."""
    arguments = tensors(arrays, model.dtype)
    counts = (arguments["token_type_ids"] == 1) & (arguments["input_ids"] != model.config.image_token_id)
    labels = torch.where(counts, arguments["input_ids"], -100)
    out = model(**arguments, labels=labels)
    return np.where(arrays["attention_mask"][:, :, None] == 1, out.logits.numpy(), 0), float(out.loss)


@torch.no_grad()
def greedy_of(model: torch.nn.Module, prompt: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """The greedy continuation by whole forward passes, and its smallest lead of first over second choice."""
    arrays, lead, found = dict(prompt), float("inf"), []
    for _ in range(NEW_TOKENS):
        best = model(**tensors(arrays, model.dtype)).logits[:, -1].topk(2)
        lead = min(lead, float((best.values[:, 0] - best.values[:, 1]).min()))
        found.append(int(best.indices[0, 0]))
        if found[-1] == model.config.image_token_id:
            return np.array([found], np.int32), 0.0
        more = {"input_ids": found[-1], "attention_mask": 1, "token_type_ids": 1}
        arrays |= {name: np.append(arrays[name], [[value]], axis=1).astype(np.int32) for name, value in more.items()}
    return np.array([found], np.int32), lead


def pick_inputs(model: torch.nn.Module, checkpoint: Checkpoint) -> tuple[dict, dict, np.ndarray, float]:
    """Of 12 inputs, those with the most varied greedy text that neither hangs on rounding nor ends early."""
    best = None
    for attempt in range(12):
        arrays = inputs_of(checkpoint, checkpoint.seed * 100 + attempt)
        start = int(arrays["token_type_ids"][0].argmax())
        prompt = {name: value[:1, :start] for name, value in arrays.items() if name != "pixels"}
        prompt["pixels"] = arrays["pixels"][:checkpoint.images]
        greedy, lead = greedy_of(model, prompt)
        if lead < 5e-3 or 1 in greedy:
            continue
        if best is None or len(np.unique(greedy)) > len(np.unique(best[2])):
            best = (arrays, prompt, greedy, lead)
    assert best is not None, f"{checkpoint.name}: no prompt gives a text with a clear lead"
    return best


def make(checkpoint: Checkpoint) -> None:
    """Writes one checkpoint with its golden, and checks that the golden can tell right from wrong."""
    folder = GOLDENS / "pali_gemma" / checkpoint.name
    save(checkpoint, folder)
    model = load(folder)
    arrays, prompt, greedy, lead = pick_inputs(model, checkpoint)
    start = prompt["input_ids"].shape[1]
    cached = model.generate(**tensors(prompt, model.dtype), max_new_tokens=NEW_TOKENS, do_sample=False)
    assert np.array_equal(cached[:, start:].numpy(), greedy), f"{checkpoint.name}: generate() gives another text"

    logits, loss = run(model, arrays)
    prompt_logits, _ = run(model, prompt)
    exact, _ = run(load(folder, torch.float64), arrays)
    rounding = float(np.abs(exact - logits).max())
    assert rounding < 5e-5, f"{checkpoint.name}: float32 is {rounding} from float64"

    def effect(what: str, other: np.ndarray, least: float = 1e-3) -> str:
        moved = float(np.abs(other - logits).max())
        assert moved > least, f"{checkpoint.name}: {what} moves the logits by {moved} only"
        return f"{what} {moved:.2g}"

    effects = [
        effect("image", run(model, arrays | {"pixels": 255 - arrays["pixels"]})[0]),
        effect("prefix", run(model, arrays | {"token_type_ids": np.ones_like(arrays["token_type_ids"])})[0]),
    ] + [effect(path, run(load(folder, **{path: value}), arrays)[0]) for path, value in checkpoint.must_matter.items()]
    golden = arrays | {"logits": logits, "loss": np.float32(loss), "prompt_ids": prompt["input_ids"],
                       "prompt_logits": prompt_logits, "greedy": greedy}
    write_golden(folder / "golden.safetensors", golden, VERSIONS)
    print(f"{checkpoint.name}: |logits| {np.abs(logits).max():.2f}, loss {loss:.3f}, rounding {rounding:.1e}, "
          f"lead {lead:.2g}, distinct {len(np.unique(greedy))}/{NEW_TOKENS}; moved by {', '.join(effects)}", flush=True)


if __name__ == "__main__":
    wanted = sys.argv[1:]
    unknown = set(wanted) - {checkpoint.name for checkpoint in CHECKPOINTS}
    if unknown:
        sys.exit(f"No such checkpoint: {', '.join(sorted(unknown))}")
    for each in CHECKPOINTS:
        if not wanted or each.name in wanted:
            make(each)
