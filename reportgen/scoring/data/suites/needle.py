"""Needle in a haystack: one fact within text that has nothing to do with it."""

from collections.abc import Iterator, Sequence
from functools import partial
from random import Random

from reportgen.core.suites import Reading, Suite
from reportgen.scoring.data.suites.common.drawing import Drawn, Row, drawn, refuse_short
from reportgen.scoring.data.suites.common.text import SENTENCES
from reportgen.scoring.data.suites.common.words import CITIES, NOUNS

FORMS = (
    ("The secret word of {k} is {v}.", "The secret word of {k} is"),
    ("In {k} the best thing to buy is a {v}.", "The best thing to buy in {k} is a"),
    ("The prize in {k} was a {v}.", "In {k} the prize was a"),
    ("The sign of the club in {k} shows a {v}.", "The club in {k} has a sign that shows a"),
    ("Our friend in {k} collects pictures of one thing, the {v}.", "The friend in {k} collects pictures of the"),
    ("The code of the door in {k} is {v}.", "To open the door in {k} you say"),
)
LENGTHS = (128, 512)
SHORTEST = 4  # sentences of the haystack
ROWS = 160  # candidates at a length
SENTENCES_OF = {128: 4, 512: 24}  # where no tokenizer is known


def _write(form: tuple[str, str], sentences: int, random: Random) -> Drawn:
    needle, question = form
    keys, values = random.sample(CITIES, 2), random.sample(NOUNS, 2)
    # more sentences than there are come again, in another order
    times = -(-sentences // len(SENTENCES))
    hay = [sentence for _ in range(times) for sentence in random.sample(SENTENCES, len(SENTENCES))]
    places = sorted(random.sample(range(sentences), 2), reverse=True)
    order = random.sample((0, 1), 2)

    def text(of: Sequence[str]) -> str:
        whole = hay[:sentences]
        for place, i in zip(places, order, strict=True):
            whole.insert(place, needle.format(k=keys[i], v=of[i]))
        return f"{' '.join(whole)} {question.format(k=keys[0])}"

    return Drawn(text(values), values[0], values[1], text(values[::-1]))


def _task(length: int) -> str:
    return f"Needle in a haystack, {length} tokens"


def make(seed: int) -> Iterator[Row]:
    """Write haystacks of about the usual lengths, since no tokenizer is known."""
    for length, sentences in SENTENCES_OF.items():
        yield from drawn(_task(length), seed, {form[0]: partial(_write, form, sentences) for form in FORMS}, ROWS)


def adapted(seed: int, reading: Reading, lengths: Sequence[int]) -> Iterator[Row]:
    """Write haystacks of as many sentences as fill the lengths."""
    each = reading.count(" ".join(SENTENCES)) / len(SENTENCES)
    for length in lengths:
        writers = {}
        for form in FORMS:
            shortest = reading.count(_write(form, SHORTEST, Random(0)).prompt)
            refuse_short("needle", length, shortest)
            alone = shortest - SHORTEST * each
            sentences = max(SHORTEST, int((length - alone) / each))
            writers[form[0]] = partial(_write, form, sentences)
        yield from drawn(_task(length), seed, writers, ROWS)


SUITE = Suite(
    "needle",
    "needle in a haystack: one fact within other text, at chosen lengths",
    make,
    order=120,
    tokens=1,
    adapted=adapted,
    lengths=LENGTHS,
    measures="Whether the model finds a fact that stands somewhere within plain text, against the value of a second "
    "needle of the same form, with which it has changed places in the counterfactual prompt.",
    source="Kamradt 2023, Needle in a Haystack; Wu et al. 2024, Retrieval Head (arXiv 2404.15574); needles and text "
    "of our own.",
    known="Less than 5 % of the heads copy the needle while they look at it (retrieval heads); masking them makes "
    "models hallucinate, masking as many others does not.",
    pitfalls="The haystack is made of forty sentences, which long ones repeat. Prompts are as long as whole "
    "sentences allow. What the method retrieval shows is where heads look, this task what they cost.",
)
