"""Makes small random Gemma 3 checkpoints that take images, each with what Transformers computes with it.

    python make_gemma3_vision.py [name ...]

Writes `test/goldens/gemma3_vision/<name>/`: a Hugging Face folder and `golden.safetensors` beside it:

    pixels          int32   [images, size, size, 3] each row's images after those of the row before
    input_ids       int32   [batch, time]           text with images anywhere, and a response; padded on the right
    attention_mask  int32   [batch, time]
    token_type_ids  int32   [batch, time]           1 at the tokens of images
    loss_mask       int32   [batch, time]           1 at the response, which is what counts in the loss
    logits          float32 [batch, time, vocab]    float32; zero at padded positions
    loss            float32 []                      the mean over the responses' tokens
    prompt_ids      int32   [1, prompt]             the first row without its response
    prompt_logits   float32 [1, prompt, vocab]
    greedy          int32   [1, new]                the tokens that follow the prompt

The script ends with an error unless each thing that a checkpoint is there for (its images, their two-sided attention, its
window, its epsilon) moves the logits by far more than the tolerance of the tests, and unless float32 agrees with float64.
"""

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import GOLDENS, made_with, quiet_transformers, token_ids, write_golden, write_json

quiet_transformers()
import torch  # noqa: E402
from make_gemma3 import FULL, SLIDING, linear, random_values, ropes  # noqa: E402
from make_pali_gemma import rename_tensors, store_head  # noqa: E402
from transformers import Gemma3Config, Gemma3ForConditionalGeneration  # noqa: E402

NEW_TOKENS = 16
VERSIONS = made_with("torch", "transformers", "safetensors", "numpy")


@dataclass
class Checkpoint:
    """One folder: its model, its sizes, how its files are written, and the fields that must matter."""

    name: str
    seed: int
    text: dict
    vision: dict
    tokens: int
    """The tokens of an image."""
    rows: tuple[tuple[tuple[int, ...], int], ...]
    """For each row the lengths of its texts, between which its images stand, and the length of its response."""
    names: str = "new"
    """`new` as Transformers 5 has them in memory, `old` as the published repositories have them, or `mixed`."""
    old_config: dict | None = None
    """The decoder's fields as the published config.json has them; the new spelling where none."""
    image_token: int = 127
    dtype: torch.dtype = torch.float32
    max_shard_size: str = "10GB"
    store_head: bool = False
    """Whether the file holds the head although it is tied to the embedding, as some fine-tunes do."""
    must_matter: dict = field(default_factory=dict)
    """Path of a config field, with the value that must give other logits."""


BEGIN, END = 120, 121
"""The tokens around an image."""
TEXT = dict(model_type="gemma3_text", hidden_size=32, intermediate_size=32, num_hidden_layers=3, vocab_size=128,
            num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=256,
            query_pre_attn_scalar=8, sliding_window=6, layer_types=[SLIDING, SLIDING, FULL])
SIGLIP = dict(model_type="siglip_vision_model", hidden_size=24, intermediate_size=40, num_hidden_layers=2,
              num_attention_heads=2, image_size=28, patch_size=7, vision_use_head=False)
WINDOW = {"text_config.sliding_window": 256}

CHECKPOINTS = [
    # As the 4B in small: four patches are one token, and the config names few fields.
    Checkpoint(
        "gemma3v_gqa_old", 81,
        dict(TEXT, num_hidden_layers=2, layer_types=[SLIDING, FULL], rope_parameters=ropes(500.0, linear(5000.0, 8.0))),
        dict(SIGLIP, num_hidden_layers=1), tokens=4, rows=(((5, 4), 9), ((3, 4, 6), 8)), names="old",
        old_config=dict(hidden_size=32, intermediate_size=32, model_type="gemma3_text", num_hidden_layers=2,
                        num_attention_heads=4, num_key_value_heads=2, head_dim=8, vocab_size=128,
                        query_pre_attn_scalar=8, sliding_window=6, sliding_window_pattern=2, rope_theta=5000.0,
                        rope_local_base_freq=500.0, rope_scaling={"factor": 8.0, "rope_type": "linear"}),
        must_matter=WINDOW | {"vision_config.hidden_act": "gelu"}),
    # Images that are longer than the window: each of their tokens sees all that follow, and only the window before.
    Checkpoint(
        "gemma3v_long_images_bf16_shards", 82, dict(TEXT, sliding_window=5),
        dict(SIGLIP, patch_size=4, image_size=24, hidden_size=36, num_attention_heads=3), tokens=9,
        rows=(((2, 3, 4), 7), ((6, 2), 9)), dtype=torch.bfloat16, max_shard_size="40KB", must_matter=WINDOW),
    # As many tokens as patches, and rows of none, one and three images.
    Checkpoint(
        "gemma3v_mqa_f16_rows", 83, dict(TEXT, num_key_value_heads=1, rms_norm_eps=1e-3, num_hidden_layers=2,
                                         layer_types=[FULL, SLIDING]),
        dict(SIGLIP, image_size=16, patch_size=8, layer_norm_eps=3e-2), tokens=4,
        rows=(((1, 2, 3, 4), 6), ((9,), 12), ((4, 1), 10)), dtype=torch.float16, names="mixed",
        must_matter=WINDOW | {"text_config.rms_norm_eps": 1e-6, "vision_config.layer_norm_eps": 1e-6}),
    # 33 pixels are five patches of six and three pixels that belong to none; of five patches four are pooled.
    Checkpoint(
        "gemma3v_cropped_head_in_file_old_names", 84,
        dict(TEXT, num_attention_heads=2, num_key_value_heads=2, head_dim=12, query_pre_attn_scalar=16, hidden_size=24,
             num_hidden_layers=2, layer_types=[SLIDING, FULL], rope_parameters=ropes(linear(200.0, 2.0), 500.0)),
        dict(SIGLIP, image_size=33, patch_size=6, num_attention_heads=3, layer_norm_eps=3e-2, num_hidden_layers=1),
        tokens=4,
        rows=(((7, 3), 8), ((2, 0, 5), 9)), names="old", image_token=128, store_head=True,
        must_matter=WINDOW | {"vision_config.layer_norm_eps": 1e-6, "text_config.query_pre_attn_scalar": 8}),
    # A text that begins with an image, and one that ends with one; nine tokens an image.
    Checkpoint(
        "gemma3v_nine_tokens", 85,
        dict(TEXT, num_hidden_layers=2, layer_types=[SLIDING, FULL], num_attention_heads=8, num_key_value_heads=4,
             head_dim=4, query_pre_attn_scalar=4),
        dict(SIGLIP, image_size=24, patch_size=4, num_hidden_layers=1), tokens=9,
        rows=(((0, 4), 8), ((5, 0), 6)), must_matter=WINDOW),
]


def config_of(checkpoint: Checkpoint) -> Gemma3Config:
    """The configuration of a checkpoint."""
    return Gemma3Config(
        text_config=dict(checkpoint.text), vision_config=dict(checkpoint.vision), image_token_index=checkpoint.image_token,
        boi_token_index=BEGIN, eoi_token_index=END, mm_tokens_per_image=checkpoint.tokens)


def random_model(checkpoint: Checkpoint) -> torch.nn.Module:
    """A model with weights large enough that its images, its window and its norms show."""
    model = Gemma3ForConditionalGeneration(config_of(checkpoint))
    generator = torch.Generator().manual_seed(checkpoint.seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = torch.randn(parameter.shape, generator=generator)
            if "vision_tower" in name and ("norm" in name or name.endswith("bias")):
                parameter.copy_((1 if "norm" in name and name.endswith("weight") else 0) + 0.3 * values)
            elif "multi_modal_projector" in name:
                parameter.copy_(values * 0.2)
            else:
                parameter.copy_(random_values(name.replace("patch_embedding", "patch"), values))
    return model


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Writes the folder: weights under the names wanted, and the config in the spelling wanted."""
    model = random_model(checkpoint).to(checkpoint.dtype)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, max_shard_size=checkpoint.max_shard_size)
    rename_tensors(folder, model, checkpoint.names)
    if checkpoint.store_head:
        store_head(folder, checkpoint.names)
    if checkpoint.old_config is not None:
        write_json(folder / "config.json", {
            "architectures": ["Gemma3ForConditionalGeneration"], "boi_token_index": BEGIN, "eoi_token_index": END,
            "eos_token_id": [1, 106], "image_token_index": checkpoint.image_token, "initializer_range": 0.02,
            "mm_tokens_per_image": checkpoint.tokens, "model_type": "gemma3", "text_config": checkpoint.old_config,
            "torch_dtype": str(checkpoint.dtype).removeprefix("torch."), "transformers_version": "4.50.0.dev0",
            "vision_config": checkpoint.vision,
        })


def load(folder: Path, dtype: torch.dtype = torch.float32, **overrides) -> torch.nn.Module:
    """Loads the folder as Transformers does, in `dtype`, with eager attention; overrides are paths of config fields."""
    config = Gemma3Config.from_pretrained(folder)
    for path, value in overrides.items():
        part, name = path.split(".")
        setattr(getattr(config, part), name, value)
    model, report = Gemma3ForConditionalGeneration.from_pretrained(
        folder, config=config, dtype=dtype, attn_implementation="eager", output_loading_info=True)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not report[problem], f"{folder.name}: {problem} {report[problem]}"
    return model.eval()


def inputs_of(checkpoint: Checkpoint, seed: int) -> dict[str, np.ndarray]:
    """The rows: texts with images between them, and a response."""
    image = [BEGIN] + [checkpoint.image_token] * checkpoint.tokens + [END]
    rows = []
    for row, (texts, response) in enumerate(checkpoint.rows):
        ids = [] if texts[0] == 0 else token_ids((texts[0],), BEGIN, seed * 10 + row).tolist()
        for i, length in enumerate(texts[1:]):
            ids += image + token_ids((length,), BEGIN, seed * 100 + 10 * row + i).tolist()
        rows.append((ids + token_ids((response,), BEGIN, seed * 1000 + row).tolist(), len(ids)))
    time = max(len(ids) for ids, _ in rows)
    ids, mask, loss = (np.zeros((len(rows), time), np.int32) for _ in range(3))
    for row, (tokens, start) in enumerate(rows):
        ids[row, :len(tokens)] = tokens
        mask[row, :len(tokens)] = 1
        loss[row, start:len(tokens)] = 1
    size, images = checkpoint.vision["image_size"], sum(len(texts) - 1 for texts, _ in checkpoint.rows)
    pixels = np.random.default_rng(seed).integers(0, 256, (images, size, size, 3), dtype=np.int32)
    types = (ids == checkpoint.image_token).astype(np.int32)
    return {"pixels": pixels, "input_ids": ids, "attention_mask": mask, "token_type_ids": types, "loss_mask": loss}


def tensors(arrays: dict[str, np.ndarray], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The arguments of Transformers' model."""
    arguments = {name: torch.from_numpy(arrays[name]).long()
                 for name in ("input_ids", "attention_mask", "token_type_ids")}
    # As Gemma3ImageProcessor makes them: rescaled, less the mean 0.5, over the deviation 0.5.
    values = (torch.from_numpy(arrays["pixels"]).to(dtype) * (1 / 255) - 0.5) / 0.5
    return arguments | {"pixel_values": values.permute(0, 3, 1, 2)}


@torch.no_grad()
def run(model: torch.nn.Module, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """The logits `[batch, time, vocab]`, zero at padded positions, and the mean loss over the responses."""
    arguments = tensors(arrays, model.dtype)
    labels = torch.where(torch.from_numpy(arrays["loss_mask"]) == 1, arguments["input_ids"], -100)
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
        more = {"input_ids": found[-1], "attention_mask": 1, "token_type_ids": 0, "loss_mask": 0}
        arrays |= {name: np.append(arrays[name], [[value]], axis=1).astype(np.int32) for name, value in more.items()}
    return np.array([found], np.int32), lead


def pick_inputs(model: torch.nn.Module, checkpoint: Checkpoint) -> tuple[dict, dict, np.ndarray, float]:
    """Of 12 inputs, those with the most varied greedy text that neither hangs on rounding nor ends early."""
    best = None
    for attempt in range(12):
        arrays = inputs_of(checkpoint, checkpoint.seed * 100 + attempt)
        start = int(arrays["loss_mask"][0].argmax())
        prompt = {name: value[:1, :start] for name, value in arrays.items() if name != "pixels"}
        prompt["pixels"] = arrays["pixels"][:len(checkpoint.rows[0][0]) - 1]
        greedy, lead = greedy_of(model, prompt)
        if lead < 5e-3 or {1, 106} & set(greedy.flatten().tolist()):
            continue
        if best is None or len(np.unique(greedy)) > len(np.unique(best[2])):
            best = (arrays, prompt, greedy, lead)
    assert best is not None, f"{checkpoint.name}: no prompt gives a text with a clear lead"
    return best


def make(checkpoint: Checkpoint) -> None:
    """Writes one checkpoint with its golden, and checks that the golden can tell right from wrong."""
    folder = GOLDENS / "gemma3_vision" / checkpoint.name
    save(checkpoint, folder)
    model = load(folder)
    arrays, prompt, greedy, lead = pick_inputs(model, checkpoint)
    start = prompt["input_ids"].shape[1]
    cached = model.generate(**tensors(prompt, model.dtype), max_new_tokens=NEW_TOKENS, do_sample=False)
    assert np.array_equal(cached[:, start:].numpy(), greedy), f"{checkpoint.name}: generate() gives another text"

    logits, loss = run(model, arrays)
    prompt_logits, _ = run(model, prompt)
    # Right padding changes nothing before it, so the exact run needs no mask (Transformers' would overflow here).
    shown = arrays["attention_mask"]
    exact = run(load(folder, torch.float64), arrays | {"attention_mask": np.ones_like(shown)})[0] * shown[:, :, None]
    rounding = float(np.abs(exact - logits).max())
    assert rounding < 5e-5, f"{checkpoint.name}: float32 is {rounding} from float64"

    def effect(what: str, other: np.ndarray, least: float = 1e-3) -> str:
        moved = float(np.abs(other - logits).max())
        assert moved > least, f"{checkpoint.name}: {what} moves the logits by {moved} only"
        return f"{what} {moved:.2g}"

    effects = [
        effect("images", run(model, arrays | {"pixels": 255 - arrays["pixels"]})[0]),
        effect("both sides", run(model, arrays | {"token_type_ids": np.zeros_like(arrays["token_type_ids"])})[0]),
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
