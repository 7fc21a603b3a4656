"""Times generation with Transformers, as a peer of `deno task bench generate`.

    python bench_generate.py --checkpoint FOLDER --weights float32 --prompt 256 --new 64 --threads 2 [--logits FILE]

Prints {"event": "ready", "name", "firstStepSeconds"} after a warm-up; for each line "go K" on standard input generates K
times and prints as many {"event": "block", "name", "prefill", "decode"}, tokens per second; and at the end of the input
{"name", "firstStepSeconds", "peakRssBytes", "anonymousBytes"}. `--logits` writes the float32 logits of the prompt's first
32 tokens.
"""

import argparse
import os
import sys
import time

import numpy as np
from bench_common import emit, limit_threads, rss_bytes

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--checkpoint", required=True, help="the Hugging Face folder")
parser.add_argument("--weights", default="float32", choices=["float32", "bfloat16"], help="what to load them as")
parser.add_argument("--prompt", type=int, default=256, help="tokens of the prompt")
parser.add_argument("--new", type=int, default=64, help="tokens to generate")
parser.add_argument("--threads", type=int, default=2, help="processor threads")
parser.add_argument("--logits", help="file for the logits")
ARGS = parser.parse_args()
limit_threads(ARGS.threads)

os.environ["HF_HUB_OFFLINE"] = "1"
# OpenMP's threads spin while they wait for each other, which costs PyTorch most of its speed beside other work.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402
from transformers.utils import logging  # noqa: E402

logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(ARGS.threads)

SCORED = 32
NAME = f"PyTorch, {ARGS.weights}"


class Clock:
    """A streamer that notes when each token comes."""

    def __init__(self) -> None:
        self.begin = time.perf_counter()
        self.times: list[float] = []

    def put(self, _: torch.Tensor) -> None:
        self.times.append(time.perf_counter() - self.begin)

    def end(self) -> None:
        pass


def generate(model: torch.nn.Module, ids: torch.Tensor, count: int) -> list[float]:
    """When each token came, in seconds from the start; the streamer is given the prompt first."""
    clock = Clock()
    model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, min_new_tokens=count,
                   do_sample=False, pad_token_id=0, streamer=clock)
    return clock.times[1:]


def anonymous_bytes() -> int:
    """What of the memory is no mapped file, where the system says so."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))
    except FileNotFoundError:
        return rss_bytes()


started = time.perf_counter()
MODEL = AutoModelForCausalLM.from_pretrained(ARGS.checkpoint, dtype=getattr(torch, ARGS.weights)).eval()
index = np.arange(1, ARGS.prompt + 1, dtype=np.uint64)
tokens = index * np.uint64(2654435761) % np.uint64(2**32) % np.uint64(MODEL.config.vocab_size)
IDS = torch.from_numpy(tokens.astype(np.int64))[None]
with torch.inference_mode():
    generate(MODEL, IDS, 1)
    first = time.perf_counter() - started
    generate(MODEL, IDS, ARGS.new)
    emit({"event": "ready", "name": NAME, "firstStepSeconds": first})
    for line in sys.stdin:
        for _ in range(int(line.split()[1])):
            times = generate(MODEL, IDS, ARGS.new)
            emit({"event": "block", "name": NAME, "prefill": ARGS.prompt / times[0],
                  "decode": (ARGS.new - 1) / (times[-1] - times[0])})
    summary = {"name": NAME, "firstStepSeconds": first, "peakRssBytes": rss_bytes(),
               "anonymousBytes": anonymous_bytes()}
    if ARGS.logits:
        MODEL(input_ids=IDS[:, :SCORED]).logits[0].float().numpy().astype("<f4").tofile(ARGS.logits)
    emit(summary)
