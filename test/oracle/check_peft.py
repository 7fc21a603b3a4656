"""Checks that an adapter saved by Tessera gives, in PEFT, the logits that Tessera computed with it.

    python check_peft.py BASE ADAPTER GOLDEN.safetensors [--tolerance 1e-4]

BASE is a Hugging Face folder, ADAPTER a PEFT folder; GOLDEN holds `input_ids` int32 [batch, time], `logits` float32
[batch, time, vocab] and, where rows are padded, `attention_mask` int32 [batch, time] (padded positions are not
compared). Prints the largest absolute difference and exits 1 above the tolerance.
"""

import argparse
from pathlib import Path

from check_logits import compare, load_model


def load_with_adapter(base: Path, adapter: Path):
    """The base in float32 with the adapter on top; a key that PEFT has no place for, or misses, is an error."""
    from peft import PeftModel

    if not (adapter / "adapter_config.json").is_file():
        raise SystemExit(f'"{adapter}" has no adapter_config.json')
    model = PeftModel.from_pretrained(load_model(base), adapter)
    from peft.utils import get_peft_model_state_dict
    from safetensors.numpy import load_file

    found, wanted = set(load_file(adapter / "adapter_model.safetensors")), set(get_peft_model_state_dict(model))
    if found != wanted:
        raise SystemExit(f"Adapter keys differ: extra {sorted(found - wanted)}, missing {sorted(wanted - found)}")
    return model.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("golden", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()
    compare(load_with_adapter(args.base, args.adapter), args.golden, args.tolerance)
