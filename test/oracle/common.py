"""What the oracle scripts share: where goldens live, how they are written, and which versions made them.

Every script runs on one thread with fixed seeds, so that a second run writes the same bytes.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

GOLDENS = Path(__file__).resolve().parent.parent / "goldens"
"""The folder that holds every committed golden."""


def made_with(*packages: str) -> dict[str, str]:
    """The installed version of each package, by name."""
    return {name: version(name) for name in packages}


def write_json(path: Path, value: object) -> None:
    """Writes `value` as indented JSON with a final newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_golden(path: Path, arrays: dict[str, np.ndarray], versions: dict[str, str]) -> None:
    """Writes arrays as safetensors; the metadata's one entry, `made_with`, is JSON that names the versions."""
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    contiguous = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    save_file(contiguous, path, metadata={"made_with": json.dumps(versions)})


def read_golden(path: Path | str) -> dict[str, np.ndarray]:
    """Reads every array of a golden."""
    from safetensors.numpy import load_file

    return load_file(path)


def token_ids(shape: tuple[int, ...], vocabulary: int, seed: int) -> np.ndarray:
    """Uniform token ids from 3 up (0 pads, 1 ends, 2 begins), int32."""
    return np.random.default_rng(seed).integers(3, vocabulary, size=shape, dtype=np.int32)


def quiet_transformers() -> None:
    """Silences progress bars and warnings, and refuses the network."""
    import os
    import warnings

    warnings.filterwarnings("ignore")
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch
    from transformers.utils import logging

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
