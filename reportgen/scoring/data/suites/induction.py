"""Induction: random tokens that repeat."""

from collections.abc import Iterator, Sequence
from random import Random

from reportgen.core.suites import Reading, Suite
from reportgen.scoring.data.suites.common.drawing import POOL, Row
from reportgen.scoring.data.suites.common.words import COLOURS, JOBS, NOUNS, THINGS

LEAST, MOST = 8, 16  # tokens that repeat
VOCABULARY = 2000  # tokens that the rows are drawn from


def _rows(seed: int, words: Sequence[str]) -> Iterator[Row]:
    random = Random(f"{seed}\ninduction")
    for _ in range(POOL):
        drawn = random.sample(words, min(len(words), random.randint(LEAST, MOST)))
        place = random.randrange(2, len(drawn) - 1)  # the token whose successor is asked for
        other = random.choice([i for i in range(1, len(drawn)) if i not in (place, place + 1)])
        swapped = [*drawn]
        swapped[place + 1], swapped[other] = drawn[other], drawn[place + 1]
        again, answer, foil = drawn[: place + 1], drawn[place + 1], drawn[other]
        yield {
            "task": "Induction",
            "prompt": " ".join([*drawn, *again]),
            "answer": answer,
            "foil": foil,
            "choices": random.sample((answer, foil), 2),
            # what repeats must stay what it was: the two that changed places stand before the repetition alone
            "corrupted": " ".join([*swapped, *again]),
        }


def make(seed: int) -> Iterator[Row]:
    """Repeat random words, since no tokenizer is known."""
    return _rows(seed, list(dict.fromkeys([*NOUNS, *THINGS, *COLOURS, *JOBS])))


def adapted(seed: int, reading: Reading, lengths: Sequence[int]) -> Iterator[Row]:
    """Repeat random tokens of the model's own."""
    words = reading.words(seed, VOCABULARY)
    return _rows(seed, words) if len(words) >= LEAST else iter(())


SUITE = Suite(
    "induction",
    "induction: random tokens repeat, and the next one is what followed before",
    make,
    order=60,
    tokens=1,
    adapted=adapted,
    measures="Whether the model goes on with what followed a token where it stood before, in sequences of 8 to 16 "
    "random tokens (those of letters alone) that repeat. In the counterfactual prompt the answer and another token "
    "have changed places in the first half, so that the foil is what follows.",
    source="Elhage et al. 2021, A Mathematical Framework for Transformer Circuits; Olsson et al. 2022, In-context "
    "Learning and Induction Heads (arXiv 2209.11895).",
    known="Two heads compose: a previous-token head writes into each token what stood before it, and an induction "
    "head of a later layer looks for that. In SmolLM2-135M-Instruct, L16H0 looks at the previous token and L18H6, "
    "L17H3, L17H4 and L17H5 behind the earlier copy; in GPT-2 small, L5H1, L5H5, L6H9 and L7H10.",
    pitfalls="Rows have no template, so each is a group of its own. The methods induction and previous_token say "
    "where heads look, this task what they cost: a head may look there and not be needed. Skilled models fail on few "
    "rows, and then the log-probability is near zero everywhere.",
)
