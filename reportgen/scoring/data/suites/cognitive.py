"""Eight sets of tasks under the names of the published figure."""

from collections.abc import Iterator, Mapping
from functools import partial
from random import Random

from reportgen.core.suites import Suite
from reportgen.scoring.data.suites.common import facts, sums
from reportgen.scoring.data.suites.common.agreeing import ACROSS
from reportgen.scoring.data.suites.common.agreeing import writers as agreeing
from reportgen.scoring.data.suites.common.drawing import Drawn, Row, Writer, drawn, in_turn
from reportgen.scoring.data.suites.common.meanings import ALIKE, KINDS, OPPOSITES
from reportgen.scoring.data.suites.common.words import CITIES, COLOURS, JOBS, MEN, THINGS, WOMEN

PEOPLE = (*MEN, *WOMEN)
# {a}, {b} are two people, {x}, {y} what is told of them; the question names one of the two
TOLD = {
    "{a} has the {x} key. {b} has the {y} key. The color of the key that {q} has is": COLOURS,
    "{a} lives in {x} and {b} lives in {y}. {q} lives in": CITIES,
    "{a} works as a {x}. {b} works as a {y}. The job of {q} is": JOBS,
    "{a} bought a {x}, and {b} bought a {y}. What {q} bought was a": THINGS,
    "Passage: {a} flew to {x}. {b} flew to {y}.\nQuestion: Where did {q} fly?\nAnswer:": CITIES,
    "In the drawer of {a} is a {x}, in the drawer of {b} is a {y}. In the drawer of {q} is a": THINGS,
    "Note: {a} wears {x}, {b} wears {y}. According to the note, {q} wears": COLOURS,
}
# {a} before {b}: what follows for {q}, and what for the other
LOGIC = (
    ("{a} is taller than {b}. So the shorter of the two is", "b"),
    ("{a} is older than {b}. So the older of the two is", "a"),
    ("{a} ran faster than {b}. So the race was won by", "a"),
    ("{a} arrived before {b}. So the one who arrived last was", "b"),
    ("If it rains, {a} stays at home, else {b} stays at home. It rains. So the one at home is", "a"),
    ("Either {a} or {b} has the key. {a} does not have it. So the key is with", "b"),
    ("{a} is heavier than {b}. So the lighter of the two is", "b"),
    ("{a} sits to the left of {b}. So the one on the right is", "b"),
)
ITEMS = "tea juice bread soup rice cake fish milk coffee fruit".split()
# who wants what: {low} costs {m}, {high} costs {n}; the question wants the one or the other
DECISIONS = (
    ("The {x} costs {m} dollars and the {y} costs {n} dollars. {p} wants the cheaper one, so {p} buys the", 0),
    ("The {x} costs {m} dollars and the {y} costs {n} dollars. {p} wants the more expensive one, so {p} buys the", 1),
    ("It takes {m} minutes to make {x} and {n} minutes to make {y}. {p} is in a hurry and decides to make", 0),
    ("{m} people like {x} and {n} people like {y}. For the party {p} chooses what more people like, which is", 1),
    ("Options: {x} ({m} dollars), {y} ({n} dollars). {p} has to save money.\nDecision:", 0),
    ("The {x} was made {m} days ago and the {y} was made {n} days ago. {p} takes the fresh one, which is the", 0),
)
MEANS = ("The word {w} means the same as the word", "Another word for {w} is", "Synonym of {w}:")
AGAINST = ("The opposite of {w} is", "Q: What is the opposite of {w}?\nA:")
KIND = ("{w} is a kind of", "The word {w} names a", "Category of {w}:")
# one word of the first clause decides the second
CONSEQUENCES = tuple(
    tuple(line.split(" | "))
    for line in """
It was very {} outside, so {p} put on a | cold/warm | coat/hat
{p} left the ice cream in the {}, and when it was taken out it was | sun/freezer | soft/hard
{p} slept {} last night, and in the morning {p} felt | badly/well | tired/fresh
{p} {} the exam, and when the results came {p} was | failed/passed | sad/happy
The glass fell on the {}, and a moment later it was | stone/pillow | broken/safe
{p} forgot to {} the plant for weeks, and in the end the leaves were | water/cut | dry/long
{p} walked home in the {}, and on arriving the clothes of {p} were | rain/sun | wet/dry
The knife of {p} was {}, so cutting the bread was | sharp/blunt | easy/hard
{p} had eaten {} all day, and in the evening {p} was | nothing/cake | hungry/full
{p} turned the lamp {}, and the room became | on/off | bright/dark
The train of {p} was {}, so {p} came to the meeting | late/fast | late/early
It was {} when {p} looked out of the window, and the sky was | midnight/noon | dark/bright
""".strip().splitlines()
)
SIGNS = ("plus", "minus")


def _told(template: str, values: list[str], random: Random) -> Drawn:
    (a, b), (x, y) = random.sample(PEOPLE, 2), random.sample(values, 2)
    asked = random.randrange(2)
    say = partial(template.format, a=a, b=b, q=(a, b)[asked])
    return Drawn(say(x=x, y=y), (x, y)[asked], (x, y)[1 - asked], say(x=y, y=x))


def _logic(template: str, right: str, random: Random) -> Drawn:
    a, b = random.sample(PEOPLE, 2)
    answer, foil = (a, b) if right == "a" else (b, a)
    return Drawn(template.format(a=a, b=b), answer, foil, template.format(a=b, b=a))


def _decision(template: str, wanted: int, random: Random) -> Drawn:
    person, items, numbers = random.choice(PEOPLE), random.sample(ITEMS, 2), random.sample(range(2, 10), 2)
    say = partial(template.format, p=person, x=items[0], y=items[1])
    right = numbers.index(sorted(numbers)[wanted])
    prompt, corrupted = say(m=numbers[0], n=numbers[1]), say(m=numbers[1], n=numbers[0])
    return Drawn(prompt, items[right], items[1 - right], corrupted)


def _paired(template: str, pairs: tuple[tuple[str, ...], ...], random: Random) -> Drawn:
    (word, answer), (other, foil) = (random.sample(pair, 2) for pair in random.sample(pairs, 2))
    return Drawn(template.format(w=word), answer, foil, template.format(w=other))


def _kind(template: str, random: Random) -> Drawn:
    kind, foil = random.sample(list(KINDS), 2)
    words = random.choice(KINDS[kind]), random.choice(KINDS[foil])
    rest = random.sample([k for k in KINDS if k not in (kind, foil)], 2)
    prompt, corrupted = (template.format(w=word) for word in words)
    return Drawn(prompt, kind, foil, corrupted, tuple(random.sample([kind, foil, *rest], 4)))


def _consequence(template: str, causes: str, effects: str, random: Random) -> Drawn:
    which, say = random.randrange(2), template.replace("{p}", random.choice(PEOPLE)).format
    cause, effect = causes.split("/"), effects.split("/")
    return Drawn(say(cause[which]), effect[which], effect[1 - which], say(cause[1 - which]))


def _sets() -> Mapping[str, Mapping[str, Writer]]:
    known = [facts.writers(relation) for relation in facts.RELATIONS]
    return {
        "Knowledge Recall": {k: v for each in known for k, v in each.items()},
        "Retrieval": {t: partial(_told, t, values) for t, values in TOLD.items()},
        "Logical Reasoning": {t: partial(_logic, t, right) for t, right in LOGIC},
        "Decision-making": {t: partial(_decision, t, wanted) for t, wanted in DECISIONS},
        "Semantic Understanding": {
            **{t: partial(_paired, t, ALIKE) for t in MEANS},
            **{t: partial(_paired, t, OPPOSITES) for t in AGAINST},
            **{t: partial(_kind, t) for t in KIND},
        },
        "Syntactic Understanding": agreeing(ACROSS[::2]),
        "Inference": {t: partial(_consequence, t, causes, effects) for t, causes, effects in CONSEQUENCES},
        "Math Calculation": {k: v for sign in SIGNS for k, v in sums.writers(sign).items()},
    }


def make(seed: int) -> Iterator[Row]:
    """Write the rows of the eight sets."""
    return in_turn([drawn(task, seed, writers) for task, writers in _sets().items()])


SUITE = Suite(
    "cognitive",
    "eight sets under the published names, from Knowledge Recall to Math Calculation",
    make,
    order=10,
    usual=True,
    tokens=3,
    measures="The eight functions that “Cognitive Mirrors” distinguishes: Knowledge Recall (facts about countries), "
    "Retrieval (what a short text says of one of two people), Logical Reasoning (what follows from an order or an "
    "alternative), Decision-making (which of two options serves an aim), Semantic Understanding (same and opposite "
    "meaning, kinds), Syntactic Understanding (agreement across an attractor), Inference (what an everyday event "
    "leads to) and Math Calculation (small sums). Every answer is chosen against a foil that the counterfactual "
    "prompt, one or two words changed, makes right.",
    source="Names and figure: “Cognitive Mirrors” (arXiv 2512.10978); the rows are of our own and none of its data. "
    'Its data, CogQA, is read with format = "cogqa".',
    known="As reported, masking the first cognitive heads of Llama-3.1-8B lowers Retrieval from 84.7 % of right "
    "answers (as many other heads masked) to 8.2, Inference from 70.2 to 52.6 and Math Calculation from 83.1 to 66.2.",
    pitfalls="Short templates are a narrow picture of a faculty: a head of “Logical Reasoning” here is one of eight "
    "sentence forms. Small models are at chance on Logical Reasoning and Decision-making; competence says where, and "
    "importance there means little. Answer lengths and choices are alike across sets, as those of CogQA are not.",
)
