"""A control: neutral text, whose next word nobody asks for."""

from collections.abc import Iterator
from random import Random

from reportgen.core.suites import Suite
from reportgen.scoring.data.suites.common.drawing import Row
from reportgen.scoring.data.suites.common.text import SENTENCES

TASK = "Neutral text"
FEWEST = 5  # words before the one that is scored


def make(seed: int) -> Iterator[Row]:
    """Cut plain sentences before words drawn at random; the sentence is the group."""
    random = Random(f"{seed}\n{TASK}")
    order = random.sample(SENTENCES, len(SENTENCES))
    words = {sentence: sentence.rstrip(".").replace(",", "").split() for sentence in order}
    cuts = {s: random.sample(range(FEWEST, len(w)), len(w) - FEWEST) for s, w in words.items()}
    for turn in range(max(map(len, cuts.values()))):
        for sentence in order:
            if turn < len(cuts[sentence]):
                yield _row(sentence, words[sentence], cuts[sentence][turn], random)


def _row(sentence: str, words: list[str], cut: int, random: Random) -> Row:
    before, answer = words[:cut], words[cut]
    # other words of the same text, which are as common: one in the answer's place, two that change theirs
    foil = random.choice([w for w in words[1:] if w.lower() != answer.lower()])
    one, two = 0, 0
    while before[one] == before[two]:
        one, two = random.sample(range(1, cut), 2)
    moved = [*before]
    moved[one], moved[two] = before[two], before[one]
    group = " ".join(sentence.split()[:6]) + " …"
    return {
        "task": TASK,
        "prompt": " ".join(before),
        "answer": answer,
        "foil": foil,
        "corrupted": " ".join(moved),
        "group": group,
    }


SUITE = Suite(
    "control",
    "neutral text: the next word of plain sentences, which no task asks for",
    make,
    order=15,
    usual=True,
    control=TASK,
    measures="How much each head matters for text as such. A head that matters as much here as on a task is no head "
    'of that task. It is judged by no accuracy: [tasks] control = "Neutral text" names it as what others are held '
    "against.",
    source="Sentences of our own.",
    known="Heads that everything needs (of the first layers, or those that look at the first token) are as high here "
    "as on any task.",
    pitfalls="Forty short sentences are a small sample of language. The foil is another word of the sentence, and "
    "the counterfactual prompt lets two of its words change places: both are there so that every method can be run.",
)
