"""Whether the tokenizer that transformers has for a type of model is loaded here and reads a row as that model does."""

import inspect
import json
import re
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import transformers
from tiny_prompts import row
from tiny_tokenizers import tokenizer_of
from transformers import AutoTokenizer, PegasusTokenizer, TokenizersBackend
from transformers.models.auto.configuration_auto import model_type_to_module_name
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

from reportgen.errors import InputError, reason
from reportgen.scoring.data.encoding import Options, encode
from reportgen.scoring.model.load import LOCAL

WORDS = "the capital of france is paris".split()
PROTEIN = ("LAGV", "SE")  # of letters that stand for amino acids, the only ones that tokenizers of proteins know
ROWS = {"EsmTokenizer": PROTEIN, "EsmcTokenizer": PROTEIN}
SPECIAL = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] <s> <pad> </s> <unk> <mask> <cls> <eos> <SP> <|endoftext|> "
    "__start__ __end__ __null__"
)
# a word and each of its letters alone, where a word ends and where one goes on, as vocabularies of Python code write it
FORMS = ("{}", "{}</w>", "{}@@")
PIECES = dict.fromkeys(form.format(of) for of in [*WORDS, *"".join([*WORDS, *PROTEIN])] for form in FORMS)
VOCABULARY = [*SPECIAL.split(), *PIECES]
NUMBERED = json.dumps({token: i for i, token in enumerate(VOCABULARY)})
FILES = {
    "merges_file": "#version: 0.2\n",
    "emoji_file": json.dumps({"emoji": {}, "emoji_inv": {}}),
    **dict.fromkeys(("word_shape_file", "word_pronunciation_file"), NUMBERED),
}


def class_name(model_type: str) -> str:
    """The tokenizer class of a type: the one that transformers maps it to, else its module's own, else the class of
    every tokenizer.json.
    """
    module = import_module(f"transformers.models.{model_type_to_module_name(model_type)}")
    own = [name for name in dir(module) if name.endswith("Tokenizer")]
    return TOKENIZER_MAPPING_NAMES.get(model_type) or [*own, TokenizersBackend.__name__][0]


def tokenizer(kind: Any, model_type: str) -> str:
    """How the type's own tokenizer is had: "fast" or "slow", once one of a few words is saved, loaded for the model's
    type as a study loads it, and reads a row; else "needs " a package that is not here, "not tried: " why none can be
    made, or "none here: " why it is refused. Raises AssertionError where it reads a row wrong.
    """
    made: Any = getattr(transformers, class_name(model_type))
    if missing := getattr(made, "_backends", None):
        return f"needs {', '.join(missing)}"
    with tempfile.TemporaryDirectory() as held:
        try:
            built(made, Path(held)).save_pretrained(held)
        except ImportError as error:
            return "needs " + (re.findall(r"install ([\w-]+) to use", str(error)) or [error.name or str(error)])[0]
        except Exception as error:  # as many kinds as there are tokenizer libraries
            return f"not tried: {reason(error)}"
        (Path(held) / "config.json").write_text(json.dumps({"model_type": model_type}))
        loaded: Any = AutoTokenizer.from_pretrained(held, **LOCAL)
    assert type(loaded) is made, f"{type(loaded).__name__} is loaded for {made.__name__}"
    try:
        return read(loaded, kind)
    except InputError as error:
        return f"none here: {error.problem}"


def built(made: Any, folder: Path) -> Any:
    """A tokenizer of the class and a few words: trained on them, or read from the files that it asks for."""
    if made is TokenizersBackend:
        return tokenizer_of("bytes")
    if made is PegasusTokenizer:  # transformers cannot train it: it looks for its unknown word where there is none
        return made(vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{word}", -1.0) for word in WORDS)])
    if issubclass(made, TokenizersBackend):  # a word a line: some have nothing that keeps pieces within words
        lines = [f"{space}{word}" for word in WORDS for space in ("", " ")]
        return made().train_new_from_iterator(lines, 400, show_progress=False)
    asked = [name for name in inspect.signature(made).parameters if name.endswith("_file")]
    for vocabulary in ("\n".join(VOCABULARY) + "\n", NUMBERED):
        for name in asked:
            (folder / name).write_text(FILES.get(name, vocabulary))
        try:
            return made(**{name: str(folder / name) for name in asked})
        except json.JSONDecodeError:
            continue
    raise ValueError("it reads no vocabulary of lines, nor of JSON")


def read(loaded: Any, kind: Any) -> str:
    """ "fast" or "slow", once a row is read and its answer's tokens say the answer."""
    prompt, answer = ROWS.get(type(loaded).__name__, (" ".join(WORDS[:-1]), WORDS[-1]))
    found = encode(loaded, row(prompt, answer), Options(kind, decoder_start=0))
    said = loaded.decode(found.answer, skip_special_tokens=True)
    assert said.replace(" ", "").casefold() == answer.casefold(), f"{type(loaded).__name__} reads {said!r}"
    return "fast" if loaded.is_fast else "slow"
