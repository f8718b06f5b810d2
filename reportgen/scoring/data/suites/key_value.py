"""Key–value retrieval: the value that stands behind a key."""

from collections.abc import Iterator, Sequence
from functools import partial
from random import Random

from reportgen.core.suites import Reading, Suite
from reportgen.scoring.data.suites.common.drawing import Drawn, Row, drawn, refuse_short
from reportgen.scoring.data.suites.common.words import COLOURS, NOUNS

# how a pair, and at the end the key in question, are written; what stands between the pairs
FORMS = (
    ("{k}: {v}", "{k}:", "\n"),
    ("{k} = {v}", "{k} =", "\n"),
    ("{k} -> {v}", "{k} ->", "\n"),
    ("The {k} is {v}", "Of the {k} we know that it is", ". "),
    ("the {k} has the color {v}", "So the color of the {k} is", ", "),
    ("{k} means {v}", "Therefore {k} means", "; "),
)
LEN = len(NOUNS)
FEWEST, MOST = 3, LEN**2  # pairs
LENGTHS = (64, 256)
ROWS = 160  # candidates at a length
PAIRS = {64: 8, 256: 40}  # where no tokenizer is known


def _write(form: tuple[str, str, str], pairs: int, random: Random) -> Drawn:
    pair, question, between = form
    # one noun a key; of long lists two, of which there are ten thousand
    single = pairs <= len(NOUNS)
    numbers = random.sample(range(LEN if single else MOST), pairs)
    keys = [NOUNS[n] if single else f"{NOUNS[n // LEN]} {NOUNS[n % LEN]}" for n in numbers]
    values = [random.choice(COLOURS) for _ in keys]
    asked = random.randrange(len(keys))
    other = random.choice([i for i in range(len(keys)) if i != asked])
    while values[other] == values[asked]:
        values[other] = random.choice(COLOURS)
    swapped = [*values]
    swapped[asked], swapped[other] = values[other], values[asked]
    prompt, corrupted = (
        between.join([*(pair.format(k=k, v=v) for k, v in zip(keys, of, strict=True)), question.format(k=keys[asked])])
        for of in (values, swapped)
    )
    return Drawn(prompt, values[asked], values[other], corrupted)


def _task(length: int) -> str:
    return f"Key–value retrieval, {length} tokens"


def make(seed: int) -> Iterator[Row]:
    """Write lists of pairs of about the usual lengths, since no tokenizer is known."""
    for length, pairs in PAIRS.items():
        yield from drawn(_task(length), seed, {form[0]: partial(_write, form, pairs) for form in FORMS}, ROWS)


def adapted(seed: int, reading: Reading, lengths: Sequence[int]) -> Iterator[Row]:
    """Write lists of as many pairs as fill the lengths."""
    for length in lengths:
        writers = {form[0]: partial(_write, form, _filling(form, length, reading)) for form in FORMS}
        yield from drawn(_task(length), seed, writers, ROWS)


def _filling(form: tuple[str, str, str], length: int, reading: Reading) -> int:
    """Return how many pairs fill a length: a pair takes what ten more of them take, of one list and a longer one."""

    def taken(pairs: int) -> int:
        return reading.count(_write(form, pairs, Random(0)).prompt)

    refuse_short("key_value", length, taken(FEWEST))
    pairs, step = FEWEST, 10
    for _ in range(2):  # the keys of long lists are longer
        each = max(1.0, (taken(pairs + step) - taken(pairs)) / step)
        pairs = int(min(MOST - step, max(FEWEST, pairs + (length - taken(pairs)) / each)))
    return pairs


SUITE = Suite(
    "key_value",
    "key–value retrieval: the value that stands behind a key, at chosen lengths",
    make,
    order=110,
    tokens=1,
    adapted=adapted,
    lengths=LENGTHS,
    measures="Whether the model finds the value that belongs to a key in a list of pairs, against the value of "
    "another key of the list, with which it has changed places in the counterfactual prompt.",
    source="Liu et al. 2023, Lost in the Middle (arXiv 2307.03172), for the form; lists of our own.",
    known="Retrieval heads (Wu et al. 2024, arXiv 2404.15574) copy from where they look; models find what stands at "
    "the beginning and the end more easily than what stands in the middle.",
    pitfalls="Lengths are met to within a tenth, less where a pair is long. Lists of more than a hundred pairs have "
    "keys of two nouns, so that the answer takes both to find. Twelve colours are the values: long lists hold each of "
    "them several times, and copying a frequent one is a guess that is better than it seems.",
)
