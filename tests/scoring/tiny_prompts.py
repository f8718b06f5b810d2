"""Small tokenizers of several kinds, and rows for them."""

from typing import Any

from tiny_models import WORDS
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from reportgen.scoring.data.tasks import Row

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<mask>", "<user>", "<bot>", "<sys>"]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'system' %}<sys> {{ m.content }} {% elif m.role == 'user' %}<user> {{ m.content }} "
    "{% else %}<bot> {{ m.content }} {% endif %}{% endfor %}{% if add_generation_prompt %}<bot> {% endif %}"
)
REFUSING = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TEMPLATE
)


def row(prompt: str, answer: str = "", **rest: Any) -> Row:
    names = {"id": "0", "group": "0", "location": "tasks.jsonl, line 1", **rest}
    return Row("t", prompt, answer, **names)


def words(single: str = "<s> $A", template: str | None = None) -> PreTrainedTokenizerFast:
    """Words at spaces; ``single`` says which special tokens go around a text, ``template`` is the one for chats."""
    raw = Tokenizer(models.WordLevel({w: i for i, w in enumerate([*SPECIAL, *WORDS])}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ids = [(token, SPECIAL.index(token)) for token in single.split() if token in SPECIAL]
    raw.post_processor = processors.TemplateProcessing(single=single, special_tokens=ids)
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        additional_special_tokens=SPECIAL[5:],
    )
    made.chat_template = template
    return made


def byte_pairs() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with a few merges: 'two', ' two', and '=b' across prompt and answer."""
    letters = ["Ġ", *sorted(set("=abotw1"))]
    merges = [("t", "w"), ("tw", "o"), ("Ġ", "two"), ("=", "b")]
    known = [*letters, *("".join(pair) for pair in merges)]
    raw = Tokenizer(models.BPE({w: i for i, w in enumerate(known)}, merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw)


def shown(tokenizer: Any, ids: Any) -> str:
    """Ids as their tokens, with spaces between them."""
    return " ".join(tokenizer.convert_ids_to_tokens(list(ids)))
