"""Checks that a folder that Tessera wrote (merged or exported) gives, in Transformers, the logits that it computed.

    python check_logits.py FOLDER GOLDEN.safetensors [--tolerance 1e-4]

FOLDER is a Hugging Face folder; GOLDEN holds `input_ids` int32 [batch, time], `logits` float32 [batch, time, vocab]
and, where rows are padded, `attention_mask` int32 [batch, time] (padded positions are not compared). Prints the
largest absolute difference and exits 1 above the tolerance.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from common import quiet_transformers, read_golden

quiet_transformers()
import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402


def load_model(folder: Path):
    """The folder's model in float32; a tensor that is missing, left over or of another shape is an error."""
    if not (folder / "config.json").is_file():
        raise SystemExit(f'"{folder}" has no config.json')
    model, report = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    faults = {kind: sorted(map(str, keys)) for kind, keys in report.items() if keys}
    if faults:
        raise SystemExit(f'"{folder}" does not fit its config: {faults}')
    return model.eval()


def compare(model, golden: Path, tolerance: float) -> None:
    """Prints how far the model's logits are from the golden's; exits 1 above the tolerance."""
    arrays = read_golden(golden)
    ids, logits = arrays["input_ids"], arrays["logits"]
    mask = arrays.get("attention_mask", np.ones_like(ids))
    with torch.no_grad():
        out = model(input_ids=torch.from_numpy(ids).long(), attention_mask=torch.from_numpy(mask).long())
    found = out.logits.numpy()
    if found.shape != logits.shape:
        raise SystemExit(f"Logits have shape {list(logits.shape)} in the golden, {list(found.shape)} in the model")
    difference = float(np.abs(found - logits)[mask == 1].max())
    print(f"max abs difference {difference:.3e} (tolerance {tolerance:g}, largest logit {np.abs(found).max():.3g})")
    if not difference <= tolerance:
        sys.exit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("golden", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()
    compare(load_model(args.folder), args.golden, args.tolerance)
