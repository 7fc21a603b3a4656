"""Makes two tiny tokenizers, each with what Hugging Face Tokenizers and Transformers do with awkward texts.

    python make_tokenizer.py

Writes `packages/hub/testdata/tokenizer/<name>/`: `tokenizer.json` and `tokenizer_config.json` as a checkpoint has them, and

    golden.json   {"made_with", "texts": [{"text", "ids", "with_special", "decoded", "without_special"}],
                   "decodes": [{"ids", "text"}], "chats": [{"messages", "add_generation_prompt", "text"}]}

`gemma` is a BPE with byte fallback over text whose spaces are replaced by U+2581, as Gemma's; `llama` is a byte-level BPE
behind a regular expression, as Llama 3's. Both are trained here, on the text below.
"""

import json
import shutil
from pathlib import Path

from common import made_with, quiet_transformers, write_json

quiet_transformers()
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

FOLDER = Path(__file__).resolve().parents[2] / "packages/hub/testdata/tokenizer"

CORPUS = [
    "The river rose in the night and the bridge was closed before the morning train.",
    "She's sure they'll say that we've gone; I'd rather they didn't, and he'S not so sure.",
    "def add(first, second):\n    return first + second\n\n\nprint(add(12, 345))\n",
    "In 2024 the town had 12345 people, 678 dogs, and one (1) cat.",
    "Über den Fluss führt eine Brücke; le café est fermé; naïve façade.",
    "the then there these they them than that this those",
] * 3

TEXTS = [
    "",
    " ",
    "Hello",
    "the bridge",
    " the bridge ",
    "two  spaces   three\ttab",
    "line\nline\n\nline\r\n  indented\n\n\n",
    "She's sure WE'VE gone, i'd say; they'LL",
    "1 12 123 1234 12345678",
    "Brücke café naïve cafe\u0301",
    "日本語とカタカナ 中文 한국어",
    "family 👩‍👩‍👧 flag 🇩🇪 rocket 🚀",
    "punctuation!!! ... (a+b)*c == \"d\" <html> &amp;",
    "a literal \u2581 and \u2581\u2581 two",
    "<bos>turn <turn>user hello<end><eos> <unknown>",
    "zero\u0000width\u200bspace\u00a0nbsp\ufeff",
    "the " * 40,
    "x" * 300,
]

DECODES = [["<0xE2>"], ["<0xE2>", "<0x82>"], ["<0xE2>", "<0x82>", "<0xAC>"], ["the", "<0xF0>", "<0x9F>", "the"]]

CHATS = [
    ([{"role": "user", "content": " Hi there "}], True),
    ([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?\n"}, {"role": "user", "content": "Go"}], True),
    ([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Bye"}], False),
]

TEMPLATE = """{{ bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'system' %}
        {{- raise_exception('There is no system role') }}
    {%- endif %}
    {%- set role = 'model' if message.role == 'assistant' else message.role %}
    {{- '<turn>' + role + '\\n' + message.content | trim + '<end>' }}
    {%- if not loop.last %}{{ '\\n' }}{% endif %}
{%- endfor %}
{% if add_generation_prompt %}
{{ '<turn>model\\n' }}
{%- endif %}"""

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<turn>", "<end>"]


def bos_template() -> processors.TemplateProcessing:
    return processors.TemplateProcessing(single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", 2)])


def train(tokenizer: Tokenizer, **options: object) -> tuple[dict[str, int], list[list[str]]]:
    """The tokens and merges that a BPE learns from the corpus behind the given tokenizer's normaliser and splitter."""
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(special_tokens=SPECIAL, show_progress=False, **options))
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], model["merges"]


def gemma() -> Tokenizer:
    normalizer = normalizers.Replace(" ", "\u2581")
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizer
    # Merges must not cross words while learning; the finished tokenizer sees no spaces to split at, as Gemma's.
    learner.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    learned, merges = train(learner, vocab_size=220)
    tokens = SPECIAL + [f"<0x{byte:02X}>" for byte in range(256)]
    tokens += [token for token in sorted(learned, key=learned.get) if token not in SPECIAL]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(
        models.BPE(vocabulary, [tuple(merge) for merge in merges], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.post_processor = bos_template()
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in ["\n\n", "\n\n\n", "\u2581\u2581"]])
    return tokenizer


def llama() -> Tokenizer:
    words = Regex(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    train(tokenizer, vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), bos_template()])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def golden(tokenizer: Tokenizer, fast: PreTrainedTokenizerFast) -> dict[str, object]:
    texts = []
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        with_special = tokenizer.encode(text).ids
        texts.append({
            "text": text,
            "ids": ids,
            "with_special": with_special,
            "decoded": tokenizer.decode(with_special, skip_special_tokens=False),
            "without_special": tokenizer.decode(with_special, skip_special_tokens=True),
        })
    decodes = []
    for tokens in DECODES:
        ids = [tokenizer.token_to_id(token) for token in tokens]
        if None not in ids:
            decodes.append({"ids": ids, "text": tokenizer.decode(ids)})
    chats = [
        {
            "messages": messages,
            "add_generation_prompt": prompt,
            "text": fast.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt),
        }
        for messages, prompt in CHATS
    ]
    return {"made_with": made_with("tokenizers", "transformers"), "texts": texts, "decodes": decodes, "chats": chats}


for name, make in {"gemma": gemma, "llama": llama}.items():
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer = make()
    roles = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=TEMPLATE, **roles)
    write_json(folder / "golden.json", golden(tokenizer, fast))
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str())) + "\n")
    config = {**roles, "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE}
    if name == "gemma":
        # The older spelling, an object for a token.
        config["bos_token"] = {"__type": "AddedToken", "content": "<bos>", "special": True}
    write_json(folder / "tokenizer_config.json", config)
    print(folder.name, tokenizer.get_vocab_size(), "tokens")
