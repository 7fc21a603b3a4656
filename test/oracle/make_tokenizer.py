"""Makes tiny tokenizers, each with what Hugging Face Tokenizers and Transformers do with awkward texts.

    python make_tokenizer.py [name ...]

Writes `packages/tokenizer/testdata/<name>/`: `tokenizer.json` and `tokenizer_config.json` as a checkpoint has them, and

    golden.json   {"made_with", "texts": [{"text", "ids", "with_special", "decoded", "without_special"}],
                   "decodes": [{"ids", "text"}], "chats": [{"messages", "add_generation_prompt", "text"}]}

`gemma` is a BPE with byte fallback over text whose spaces are replaced by U+2581, as Gemma's; `llama` is a byte-level BPE
behind a regular expression; `llama3` is such a one with Llama 3's own special tokens, which stand behind the others and of
which none pads, and a template in the manner of Llama 3.1's; `hermes` is `llama3` with the tokens and the template of
ChatML added on top, as fine-tunes do; `qwen` composes characters and begins no text, as Qwen's, whose special tokens stand behind
the others, and its template writes a thought before the last answer, as Qwen 3's. All are trained here, on the text below.
"""

import json
import shutil
import sys
from pathlib import Path

from common import made_with, quiet_transformers, write_json

quiet_transformers()
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

FOLDER = Path(__file__).resolve().parents[2] / "packages/tokenizer/testdata"

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


LLAMA3_SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|start_header_id|>",
                  "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"]

LLAMA3_TEXTS = [
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>",
    "a<|eot_id|> b<|reserved_special_token_0|>\n<|eom_id|><|unknown|>",
    "<|im_start|>user\nHi<|im_end|>\n",
]

LLAMA3_CHATS = CHATS + [
    ([{"role": "system", "content": " Be brief.\n"}, {"role": "user", "content": "Hi"}], True),
    ([{"role": "user", "content": "{{ bos_token }} <|eot_id|>"}, {"role": "assistant", "content": ""}], False),
]

LLAMA3_TEMPLATE = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is defined and tools is not none %}
    {{- "Functions: " + (tools | tojson(indent=4)) + "\\n\\n" }}
{%- endif %}
{{- "Today: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

QWEN_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN_ADDED = ["<tool_call>", "</tool_call>", "<think>", "</think>"]

QWEN_TEXTS = [
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nYes<|im_end|>\n",
    "cafe\u0301 A\u030a \u1100\u1161 \u2126",
    "a<|endoftext|>b</think>c <|im_sep|>",
]

QWEN_CHATS = [
    ([{"role": "user", "content": " Hi "}], True),
    ([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}], False),
    ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>\nx\n</think>\n\nb"},
      {"role": "user", "content": "c"}, {"role": "assistant", "content": "<think>\ny\n</think>\n\nd"}], False),
]

# The last answer follows a thought, its own or an empty one; of earlier ones only the answer stays.
QWEN_TEMPLATE = """{%- set state = namespace(last=-1) %}
{%- for message in messages[::-1] %}
    {%- if state.last < 0 and message.role == 'user' %}
        {%- set state.last = messages|length - 1 - loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.role == 'assistant' %}
        {%- set answer = message.content.split('</think>')[-1].lstrip('\\n') %}
        {%- if loop.index0 > state.last %}
            {%- set thought = message.content.split('</think>')[0] if '</think>' in message.content else '' %}
            {{- '<think>\\n' + thought.split('<think>')[-1].strip('\\n') + '\\n</think>\\n\\n' }}
        {%- endif %}
        {{- answer }}
    {%- else %}
        {{- message.content }}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

CHATML_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def bos_template(bos: str = "<bos>", index: int = 2) -> processors.TemplateProcessing:
    return processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, index)])


def train(tokenizer: Tokenizer, **options: object) -> tuple[dict[str, int], list[list[str]]]:
    """The tokens and merges that a BPE learns from the corpus behind the given tokenizer's normalizer and splitter."""
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


def byte_level(digits: str = r"\p{N}{1,3}", normalizer: normalizers.Normalizer | None = None, ignore_merges: bool = True,
               **options: object) -> Tokenizer:
    """A byte-level BPE that joins as many digits as a regular expression says."""
    words = Regex(
        rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **options)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def llama() -> Tokenizer:
    tokenizer = byte_level(vocab_size=420, special_tokens=SPECIAL)
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), bos_template()])
    return tokenizer


def llama3(added: tuple[str, ...] = ()) -> Tokenizer:
    tokenizer = byte_level(vocab_size=400)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in LLAMA3_SPECIAL])
    bos = LLAMA3_SPECIAL[0]
    start = bos_template(bos, tokenizer.token_to_id(bos))
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), start])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in added])
    return tokenizer


def hermes() -> Tokenizer:
    # One of the two is special and the other is not, as in fine-tunes that add only the end of a turn to the special tokens.
    tokenizer = llama3(("<|im_start|>", "<tool_call>"))
    tokenizer.add_special_tokens([AddedToken("<|im_end|>", normalized=False)])
    return tokenizer


def qwen() -> Tokenizer:
    tokenizer = byte_level(digits=r"\p{N}", normalizer=normalizers.NFC(), ignore_merges=False, vocab_size=400)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in QWEN_SPECIAL])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in QWEN_ADDED])
    return tokenizer


def golden(tokenizer: Tokenizer, fast: PreTrainedTokenizerFast, texts_in: list, chats_in: list) -> dict[str, object]:
    texts = []
    for text in texts_in:
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
        for messages, prompt in chats_in
    ]
    return {"made_with": made_with("tokenizers", "transformers"), "texts": texts, "decodes": decodes, "chats": chats}


ROLES = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
LLAMA3_ROLES = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
QWEN_ROLES = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}

KINDS = {
    "gemma": (gemma, ROLES, TEMPLATE, TEXTS, CHATS),
    "llama": (llama, ROLES, TEMPLATE, TEXTS, CHATS),
    "llama3": (llama3, LLAMA3_ROLES, LLAMA3_TEMPLATE, TEXTS + LLAMA3_TEXTS, LLAMA3_CHATS),
    "hermes": (hermes, LLAMA3_ROLES | {"eos_token": "<|im_end|>"}, CHATML_TEMPLATE, LLAMA3_TEXTS, LLAMA3_CHATS),
    "qwen": (qwen, QWEN_ROLES, QWEN_TEMPLATE, TEXTS + QWEN_TEXTS, QWEN_CHATS),
}


def make(name: str) -> None:
    """Writes one tokenizer with its golden."""
    build, roles, template, texts, chats = KINDS[name]
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer = build()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template, **roles)
    write_json(folder / "golden.json", golden(tokenizer, fast, texts, chats))
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str())) + "\n")
    config = {**roles, "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template}
    if name == "gemma":
        # The older spelling, an object for a token.
        config["bos_token"] = {"__type": "AddedToken", "content": "<bos>", "special": True}
    if roles is not ROLES:
        config |= {"clean_up_tokenization_spaces": True, "model_max_length": 131072}
    if name == "qwen":
        config |= {"tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "unk_token": None, "add_bos_token": False,
                   "clean_up_tokenization_spaces": False}
    write_json(folder / "tokenizer_config.json", config)
    print(folder.name, tokenizer.get_vocab_size(), "tokens")


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(KINDS)
    if unknown:
        sys.exit(f"No such tokenizer: {', '.join(sorted(unknown))}")
    for each in sys.argv[1:] or KINDS:
        make(each)
