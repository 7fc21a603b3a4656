"""Asks Transformers which tokens follow, over the checkpoints of `make_gemma.py` and `make_llama.py`, which must exist.

    python make_generation.py

Writes `test/goldens/generation/`:

    golden.json           {"made_with", "cases": [{"name", "checkpoint", "prompts", "options", "stops", "answers"}],
                           "texts": [{"prompt", "stops", "tokens", "answer"}]}
    filters.safetensors   logits float32 [rows, vocab], and per setting, named by its JSON, the filtered logits
    text/                 a checkpoint of the vocabulary of `packages/tokenizer/testdata/gemma`, for `texts`

`options` are those of Tessera, `stops` the end-of-text tokens, and answers leave out the token that ended them. A case is
written only if the model in float64 gives the same answer, so that none hangs on rounding. Contrastive search, which
Transformers no longer has, is computed here by whole forward passes in the manner of its paper (arXiv 2202.06417).
"""

import json
import shutil

import numpy as np
from common import GOLDENS, made_with, quiet_transformers, read_golden, token_ids, write_golden, write_json

quiet_transformers()
import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2Config, Gemma2ForCausalLM  # noqa: E402
from transformers.generation import (  # noqa: E402
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

FOLDER = GOLDENS / "generation"
TOKENIZER = GOLDENS.parents[1] / "packages/tokenizer/testdata/gemma"
CHECKPOINTS = ["gemma/gemma1_mha", "gemma/gemma2_gqa", "gemma/gemma2_mqa_padded", "llama/llama3_gqa"]
NEW_TOKENS = 20
PROMPT = 7

WORDS = {"repetitionPenalty": "repetition_penalty", "numBeams": "num_beams", "lengthPenalty": "length_penalty",
         "earlyStopping": "early_stopping"}
"""Tessera's options in the words of Transformers."""

SEARCHES = [
    {"repetitionPenalty": 1.2},
    {"repetitionPenalty": 2.0},
    {"repetitionPenalty": 0.8},
    {"numBeams": 3},
    {"numBeams": 4, "lengthPenalty": 2.0},
    {"numBeams": 4, "lengthPenalty": 0.0, "earlyStopping": True},
    {"numBeams": 3, "lengthPenalty": -1.0, "earlyStopping": "never"},
    {"numBeams": 4, "lengthPenalty": 1.5, "earlyStopping": "never"},
    {"numBeams": 3, "repetitionPenalty": 1.3},
    {"penaltyAlpha": 0.6, "topK": 4},
    {"penaltyAlpha": 0.3, "topK": 6, "repetitionPenalty": 1.2},
]

FILTERS = [
    {"temperature": 0.7},
    {"temperature": 1.0, "topK": 5},
    {"temperature": 1.0, "topK": 1},
    {"temperature": 1.0, "topP": 0.9},
    {"temperature": 2.0, "topP": 0.3},
    {"temperature": 1.0, "topP": 0.001},
    {"temperature": 1.0, "minP": 0.1},
    {"temperature": 1.5, "minP": 0.02},
    {"temperature": 0.6, "topK": 40, "topP": 0.95},
    {"temperature": 1.3, "topK": 20, "topP": 0.8, "minP": 0.05},
]


def load(name: str, dtype: torch.dtype) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(GOLDENS / name, dtype=dtype, attn_implementation="eager").eval()


@torch.no_grad()
def contrastive(model: torch.nn.Module, prompt: list[int], stops: list[int], options: dict) -> list[int]:
    """Each candidate is read after the whole text so far, without a cache."""
    alpha, count = options["penaltyAlpha"], options["topK"]
    penalty = options.get("repetitionPenalty", 1.0)
    text = list(prompt)
    for _ in range(NEW_TOKENS):
        ids = torch.tensor([text])
        out = model(input_ids=ids, output_hidden_states=True)
        before = out.hidden_states[-1][0]
        logits = RepetitionPenaltyLogitsProcessor(penalty)(ids, out.logits[:, -1]) if penalty != 1 else out.logits[:, -1]
        likely = torch.softmax(logits[0], -1).topk(count)
        scores = []
        for probability, token in zip(likely.values, likely.indices):
            after = model(input_ids=torch.tensor([[*text, int(token)]]), output_hidden_states=True)
            last = after.hidden_states[-1][0, -1]
            alike = torch.nn.functional.cosine_similarity(before, last[None], dim=-1).max()
            scores.append((1 - alpha) * probability - alpha * alike)
        token = int(likely.indices[int(torch.stack(scores).argmax())])
        text.append(token)
        if token in stops:
            break
    return text[len(prompt):]


def answer(model: torch.nn.Module, prompt: list[int], stops: list[int], options: dict) -> list[int]:
    """The tokens that follow one prompt."""
    if "penaltyAlpha" in options:
        tokens = contrastive(model, prompt, stops, options)
    else:
        settings = {WORDS[name]: value for name, value in options.items()}
        out = model.generate(torch.tensor([prompt]), max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=stops,
                             pad_token_id=0, **settings)
        tokens = out[0, len(prompt):].tolist()
    ends = [i for i, token in enumerate(tokens) if token in stops]
    return tokens[:ends[0]] if ends else tokens


def cases() -> list[dict]:
    """Answers that the model in float64 agrees with, with stop tokens that end some of them."""
    found = []
    for at, name in enumerate(CHECKPOINTS):
        model, exact = load(name, torch.float32), load(name, torch.float64)
        vocabulary = model.config.vocab_size
        for index, options in enumerate(SEARCHES):
            good = []
            for attempt in range(12):
                seed = 1000 * at + 50 * index + attempt
                prompt = token_ids((PROMPT + attempt % 3,), vocabulary, seed).tolist()
                free = answer(exact, prompt, [1], options)
                # Tokens of the free answer, so that it ends early, and some that worse texts may hold.
                others = token_ids((3,), vocabulary, seed + 1).tolist()
                stops = [*free[5:8:2], *others] if attempt % 2 == 0 else [1]
                wanted = answer(exact, prompt, stops, options)
                if len(wanted) > 0 and wanted == answer(model, prompt, stops, options):
                    good.append((prompt, stops, wanted))
            # Those with the most different tokens say the most.
            good.sort(key=lambda each: -len(set(each[2])))
            ended = [each for each in good if len(each[2]) < NEW_TOKENS][:2]
            for prompt, stops, wanted in [*[each for each in good if len(each[2]) == NEW_TOKENS][:1], *ended]:
                found.append({"checkpoint": name, "prompt": prompt, "options": options, "stops": stops,
                              "answer": wanted})
            lengths = [(len(each[2]), len(set(each[2]))) for each in good]
            assert len(good) > 5, f"{name} {options}: only {len(good)} answers do not hang on rounding"
            print(f"{name} {options}: {len(good)} of 12 stable, length and distinct {lengths[:4]}", flush=True)
    return found


def filters() -> dict[str, np.ndarray]:
    """Logits before and after each setting's filters, in the order in which Transformers applies them."""
    logits = read_golden(GOLDENS / "gemma/gemma1_mha/golden.safetensors")["logits"][0, ::4]
    logits[1] *= 4  # A row that is far from even. Without ties: of equals, Transformers keeps one or another.
    arrays = {"logits": logits}
    classes = {"temperature": TemperatureLogitsWarper, "topK": TopKLogitsWarper, "topP": TopPLogitsWarper,
               "minP": MinPLogitsWarper}
    for settings in FILTERS:
        warpers = LogitsProcessorList([classes[name](settings[name]) for name in classes if name in settings])
        arrays[json.dumps(settings)] = warpers(None, torch.from_numpy(logits)).numpy()
    return arrays


def text_model() -> None:
    """A checkpoint whose vocabulary is the tokenizer's."""
    config = Gemma2Config(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, vocab_size=480, max_position_embeddings=256,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=16, sliding_window=64,
        attn_implementation="eager",
    )
    model = Gemma2ForCausalLM(config)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(0.5 + 0.3 * values if "norm" in name else values * (0.15 if "embed" in name else 0.25))
        # Special and byte tokens get a logit of zero, which others exceed, so that texts are of whole characters.
        model.model.embed_tokens.weight[:262] = 0
    shutil.rmtree(FOLDER / "text", ignore_errors=True)
    model.save_pretrained(FOLDER / "text")


def texts() -> list[dict]:
    """Texts that end where a string comes up which begins and ends inside tokens."""
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    model = load("generation/text", torch.float32)
    settings = dict(max_new_tokens=40, do_sample=False, repetition_penalty=1.5, pad_token_id=0, eos_token_id=[1])
    found = []
    for prompt in ["the bridge", "In 2024", "def add", "She's sure", "naïve café"]:
        ids = torch.tensor([[2, *tokenizer(prompt, add_special_tokens=False).input_ids]])
        free = model.generate(ids, **settings)[0, ids.shape[1]:].tolist()
        text = tokenizer.decode(free)
        for start, length in ((11, 4), (20, 7), (29, 12)):
            stop = text[start:start + length]
            out = model.generate(ids, stop_strings=[stop, "nowhere"], tokenizer=tokenizer, **settings)
            tokens = out[0, ids.shape[1]:].tolist()
            whole = tokenizer.decode(tokens)
            assert stop in whole and len(tokens) < len(free), (prompt, stop, whole)
            found.append({"prompt": prompt, "stops": [stop, "nowhere"], "tokens": tokens,
                          "answer": whole[:whole.index(stop)]})
            print(f"{prompt!r} until {stop!r}: {found[-1]['answer']!r} in {len(tokens)} tokens", flush=True)
    return found


if __name__ == "__main__":
    text_model()
    versions = made_with("torch", "transformers", "tokenizers", "safetensors", "numpy")
    write_golden(FOLDER / "filters.safetensors", filters(), versions)
    write_json(FOLDER / "golden.json", {"made_with": versions, "texts": texts(), "cases": cases()})
