"""What both benchmark peers share: the model's sizes, the batch, the flags, and the timing of steps.

A peer prints one line of JSON at its end. With `--interleave` it first takes turns with others: it runs two warm-up
steps, prints {"event": "ready", ...}, and then, for each line "go K" on standard input, runs K steps and prints
{"event": "block", "steps", "seconds", "tokensPerSecond"}; the last line comes when the input ends.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

SHAPE = {
    "vocab_size": 32000,
    "num_hidden_layers": 12,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 256,
}
"""Gemma 2's architecture at 221.6 million parameters, in Hugging Face's words."""

PARAMETERS = 221_561_856
"""How many values `SHAPE` has; a peer that builds another number is an error."""

LEARNING_RATE, WEIGHT_DECAY = 1e-3, 0.01
WARM_UP = 2


def arguments(description: str) -> argparse.Namespace:
    """Reads the flags that both peers take."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=2, help="sequences in a step")
    parser.add_argument("--time", type=int, default=256, help="tokens in a sequence")
    parser.add_argument("--steps", type=int, default=6, help="steps in all, the first two untimed")
    parser.add_argument("--rank", type=int, default=8, help="LoRA rank, on the query and value projections")
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random weights")
    parser.add_argument("--checkpoint", help="take the base weights from this Hugging Face folder")
    parser.add_argument("--save", help="write the random base weights to this folder first (PyTorch only)")
    parser.add_argument("--interleave", action="store_true", help='wait for "go K" lines between blocks of steps')
    parser.add_argument("--json", action="store_true", help="accepted for symmetry; the output is always JSON")
    args = parser.parse_args()
    if args.steps <= WARM_UP and not args.interleave:
        parser.error(f"--steps must be above {WARM_UP}, the number of untimed steps")
    return args


def limit_threads(threads: int) -> None:
    """Keeps the process on the first `threads` processors, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def batch_of(batch: int, length: int) -> np.ndarray:
    """Token ids `[batch, time]`, the same at every step: the i-th is (i + 1) * 2654435761 mod 2^32 mod vocabulary."""
    index = np.arange(1, batch * length + 1, dtype=np.uint64).reshape(batch, length)
    return (index * np.uint64(2654435761) % np.uint64(2**32) % np.uint64(SHAPE["vocab_size"])).astype(np.int32)


def rss_bytes() -> int:
    """The process's peak resident memory so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def emit(value: dict) -> None:
    """Prints one line of JSON at once."""
    print(json.dumps(value), flush=True)


def run(name: str, args: argparse.Namespace, build: Callable[[], tuple[Callable[[], float], int, int]]) -> None:
    """Builds, steps, times and prints. `build` gives a step (which returns its loss) and the counts of all parameters
    and of the trainable ones."""
    import_rss = rss_bytes()
    started = time.perf_counter()
    step, parameters, trainable = build()
    if parameters != PARAMETERS:
        raise SystemExit(f"{name} built {parameters} parameters, expected {PARAMETERS}")
    built = time.perf_counter()
    losses, seconds = [], []
    tokens = args.batch * args.time

    def steps(number: int) -> float:
        for _ in range(number):
            begin = time.perf_counter()
            losses.append(step())
            seconds.append(time.perf_counter() - begin)
        return sum(seconds[-number:])

    steps(1)
    first = {"name": name, "firstStepSeconds": time.perf_counter() - started, "buildSeconds": built - started}
    if args.interleave:
        steps(WARM_UP - 1)
        emit({"event": "ready", **first})
        for line in sys.stdin:
            words = line.split()
            if len(words) != 2 or words[0] != "go" or not words[1].isdigit() or int(words[1]) < 1:
                raise SystemExit(f'Expected "go K", got {line!r}')
            number = int(words[1])
            took = steps(number)
            rate = tokens / statistics.median(seconds[-number:])
            emit({"event": "block", "name": name, "steps": number, "seconds": took, "tokensPerSecond": rate})
    else:
        steps(args.steps - 1)
    timed = seconds[WARM_UP:]
    emit({
        **first,
        "tokensPerSecond": tokens / statistics.median(timed) if timed else None,
        "peakRssBytes": rss_bytes(),
        "importRssBytes": import_rss,
        "losses": losses,
        "parameters": parameters,
        "trainable": trainable,
    })
