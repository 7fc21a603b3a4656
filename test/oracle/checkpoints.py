"""Small random text checkpoints with goldens: what `make_gemma.py` and `make_llama.py` share.

A golden lies beside a Hugging Face folder (saved by Transformers), in `test/goldens/<group>/<name>/golden.safetensors`:

    input_ids       int32   [batch, time]
    attention_mask  int32   [batch, time]          only where rows are padded, on the right
    logits          float32 [batch, time, vocab]   eager attention, float32; zero at padded positions
    prompt_ids      int32   [1, prompt]
    greedy          int32   [1, new]               the tokens that follow the prompt

Weights are drawn large, and `make` ends with an error unless each feature that a checkpoint is there for (its window, its
caps, its scale, its epsilon, its base) moves the logits by far more than the tolerance of the tests, and unless float32
agrees with float64 to far less than it.
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import GOLDENS, made_with, quiet_transformers, token_ids, write_golden, write_json

quiet_transformers()
import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

NEW_TOKENS = 24
PROMPT = 8
VERSIONS = made_with("torch", "transformers", "safetensors", "numpy")
NEW_FIELDS = ("rope_parameters", "layer_types", "dtype", "use_bidirectional_attention", "tie_word_embeddings")


@dataclass
class Checkpoint:
    """One folder: its model, its sizes, how its files are written, and the fields that must matter."""

    name: str
    seed: int
    family: str
    config: dict
    dtype: torch.dtype = torch.float32
    max_shard_size: str = "10GB"
    old_spelling: dict | None = None
    """Fields that a config.json of Transformers 4 had; the folder's config is then rewritten without the new ones."""
    lengths: tuple[int, int] | None = None
    """Unpadded length of each row; all of `time` where none."""
    time: int = 32
    store_head: bool = False
    """Whether the file holds `lm_head.weight` although it is tied to the embedding."""
    by_length: bool = False
    """Whether the rotary frequencies follow the length of the text: rows are then read alone, and greedy text with a cache."""
    after_save: Callable[[Path], None] | None = None
    """What is done to the folder once Transformers has saved it, such as writing the config as it is published."""
    recomputed: bool = False
    """Whether the cache is made anew when these frequencies change, so that greedy text is the same without one."""
    must_matter: dict = field(default_factory=dict)
    """Config field, with the value that must give other logits; what follows a colon tells several of one field apart."""


def rope(theta: float) -> dict:
    """Rotary embedding's fields in the spelling of Transformers 5."""
    return {"rope_type": "default", "rope_theta": theta}


def save(checkpoint: Checkpoint, folder: Path, model: torch.nn.Module) -> None:
    """Writes the folder with Transformers, then rewrites config.json where an old one is wanted."""
    model = model.to(checkpoint.dtype)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, max_shard_size=checkpoint.max_shard_size)
    if checkpoint.store_head:
        from safetensors.torch import load_file, save_file

        file = folder / "model.safetensors"
        tensors = load_file(file)
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        save_file(tensors, file, metadata={"format": "pt"})
    if checkpoint.old_spelling is not None:
        file = folder / "config.json"
        config = {k: v for k, v in json.loads(file.read_text()).items() if k not in NEW_FIELDS}
        config |= checkpoint.old_spelling | {"transformers_version": "4.42.4"}
        write_json(file, dict(sorted(config.items())))
    if checkpoint.after_save is not None:
        checkpoint.after_save(folder)


def load(folder: Path, dtype: torch.dtype = torch.float32, **overrides) -> torch.nn.Module:
    """Loads the folder as Transformers does, in `dtype`, with eager attention."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager", **overrides).eval()


@torch.no_grad()
def logits_of(model: torch.nn.Module, ids: np.ndarray, mask: np.ndarray, alone: bool = False) -> np.ndarray:
    """The logits `[batch, time, vocab]`, zero at padded positions; of each row `alone`, as if there were no other."""
    if alone:
        rows = []
        for row, shown in zip(ids, mask.astype(bool)):
            found = model(input_ids=torch.from_numpy(row[shown][None]).long()).logits[0].numpy()
            rows.append(np.zeros((len(row), found.shape[-1]), found.dtype))
            rows[-1][shown] = found
        return np.stack(rows)
    out = model(input_ids=torch.from_numpy(ids).long(), attention_mask=torch.from_numpy(mask).long())
    return np.where(mask[:, :, None] == 1, out.logits.numpy(), 0)


@torch.no_grad()
def greedy_of(model: torch.nn.Module, prompt: np.ndarray) -> tuple[np.ndarray, float]:
    """The greedy continuation by whole forward passes, and its smallest lead of first over second choice."""
    ids, lead = torch.from_numpy(prompt).long(), float("inf")
    for _ in range(NEW_TOKENS):
        best = model(input_ids=ids).logits[:, -1].topk(2)
        lead = min(lead, float((best.values[:, 0] - best.values[:, 1]).min()))
        ids = torch.cat([ids, best.indices[:, :1]], dim=1)
    return ids[:, prompt.shape[1]:].numpy().astype(np.int32), lead


@torch.no_grad()
def cached_greedy_of(model: torch.nn.Module, prompt: np.ndarray) -> tuple[np.ndarray, float]:
    """The greedy continuation with a cache, and its smallest lead of first over second choice."""
    out = model.generate(torch.from_numpy(prompt).long(), max_new_tokens=NEW_TOKENS, do_sample=False,
                         output_scores=True, return_dict_in_generate=True)
    best = torch.stack(out.scores).topk(2).values
    lead = float((best[..., 0] - best[..., 1]).min())
    return out.sequences[:, prompt.shape[1]:].numpy().astype(np.int32), lead


def pick_prompt(model: torch.nn.Module, checkpoint: Checkpoint) -> tuple[np.ndarray, np.ndarray, float]:
    """Of 12 prompts, the one with the most varied greedy text that neither hangs on rounding nor ends early."""
    best = None
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    for attempt in range(12):
        prompt = token_ids((1, PROMPT), checkpoint.config["vocab_size"], checkpoint.seed * 1000 + attempt)
        keeps = checkpoint.by_length and not checkpoint.recomputed
        greedy, lead = cached_greedy_of(model, prompt) if keeps else greedy_of(model, prompt)
        if lead < 5e-3 or ends & set(greedy.flatten().tolist()):
            continue
        if best is None or len(np.unique(greedy)) > len(np.unique(best[1])):
            best = (prompt, greedy, lead)
    assert best is not None, f"{checkpoint.name}: no prompt gives a text with a clear lead"
    return best


def make(checkpoint: Checkpoint, group: str, random_model: Callable[[Checkpoint], torch.nn.Module]) -> None:
    """Writes one checkpoint with its golden, and checks that the golden can tell right from wrong."""
    folder = GOLDENS / group / checkpoint.name
    save(checkpoint, folder, random_model(checkpoint))
    model = load(folder)
    ids = token_ids((2, checkpoint.time), checkpoint.config["vocab_size"], checkpoint.seed)
    mask = np.ones_like(ids)
    for row, length in enumerate(checkpoint.lengths or ()):
        mask[row, length:] = 0
        ids[row, length:] = 0
    alone = checkpoint.by_length
    logits = logits_of(model, ids, mask, alone)
    prompt, greedy, lead = pick_prompt(model, checkpoint)

    cached = model.generate(torch.from_numpy(prompt).long(), max_new_tokens=NEW_TOKENS, do_sample=False)
    assert np.array_equal(cached[:, PROMPT:].numpy(), greedy), f"{checkpoint.name}: generate() gives another text"
    # Right padding changes nothing before it, so the exact run needs no mask (Transformers' would overflow here).
    exact = logits_of(load(folder, torch.float64), ids, mask if alone else np.ones_like(mask), alone) * mask[:, :, None]
    rounding = float(np.abs(exact - logits).max())
    assert rounding < 3e-5, f"{checkpoint.name}: float32 is {rounding} from float64"
    window = checkpoint.config.get("sliding_window")
    assert window is None or checkpoint.time >= 3 * window and PROMPT + NEW_TOKENS >= 3 * window
    effects = {}
    for name, value in checkpoint.must_matter.items():
        other = load(folder, **{name.partition(":")[0]: value})
        effects[name] = float(np.abs(logits_of(other, ids, mask, alone) - logits).max())
        assert effects[name] > 1e-3, f"{checkpoint.name}: {name} moves the logits by {effects[name]} only"

    arrays = {"input_ids": ids, "logits": logits, "prompt_ids": prompt, "greedy": greedy}
    if checkpoint.lengths is not None:
        arrays["attention_mask"] = mask
    write_golden(folder / "golden.safetensors", arrays, VERSIONS)
    shown = " ".join(f"{name} {effect:.2g}" for name, effect in effects.items())
    print(f"{checkpoint.name}: |logits| {np.abs(logits).max():.2f}, rounding {rounding:.1e}, lead {lead:.2g}, "
          f"distinct {len(np.unique(greedy))}/{NEW_TOKENS}; moved by {shown}", flush=True)


def make_all(checkpoints: list[Checkpoint], group: str, random_model: Callable[[Checkpoint], torch.nn.Module]) -> None:
    """Makes the checkpoints that the command line names, or all."""
    wanted = sys.argv[1:]
    unknown = set(wanted) - {checkpoint.name for checkpoint in checkpoints}
    if unknown:
        sys.exit(f"No such checkpoint: {', '.join(sorted(unknown))}")
    for each in checkpoints:
        if not wanted or each.name in wanted:
            make(each, group, random_model)
