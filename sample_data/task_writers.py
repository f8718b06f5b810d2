"""The eight tasks of the sample study, written by rule from small word lists.

Each writer draws one row (a dict in the task-file format) from a random generator. ``key`` names what the trained
model must never see of an evaluation row; it stays out of the task file.
"""

from random import Random

Row = dict[str, object]

# country: (capital, continent, language)
COUNTRIES = {
    "france": ("paris", "europe", "french"),
    "spain": ("madrid", "europe", "spanish"),
    "italy": ("rome", "europe", "italian"),
    "germany": ("berlin", "europe", "german"),
    "austria": ("vienna", "europe", "german"),
    "portugal": ("lisbon", "europe", "portuguese"),
    "greece": ("athens", "europe", "greek"),
    "poland": ("warsaw", "europe", "polish"),
    "hungary": ("budapest", "europe", "hungarian"),
    "sweden": ("stockholm", "europe", "swedish"),
    "norway": ("oslo", "europe", "norwegian"),
    "denmark": ("copenhagen", "europe", "danish"),
    "finland": ("helsinki", "europe", "finnish"),
    "iceland": ("reykjavik", "europe", "icelandic"),
    "romania": ("bucharest", "europe", "romanian"),
    "bulgaria": ("sofia", "europe", "bulgarian"),
    "croatia": ("zagreb", "europe", "croatian"),
    "serbia": ("belgrade", "europe", "serbian"),
    "albania": ("tirana", "europe", "albanian"),
    "estonia": ("tallinn", "europe", "estonian"),
    "latvia": ("riga", "europe", "latvian"),
    "lithuania": ("vilnius", "europe", "lithuanian"),
    "ukraine": ("kyiv", "europe", "ukrainian"),
    "slovakia": ("bratislava", "europe", "slovak"),
    "slovenia": ("ljubljana", "europe", "slovene"),
    "egypt": ("cairo", "africa", "arabic"),
    "morocco": ("rabat", "africa", "arabic"),
    "tunisia": ("tunis", "africa", "arabic"),
    "algeria": ("algiers", "africa", "arabic"),
    "libya": ("tripoli", "africa", "arabic"),
    "kenya": ("nairobi", "africa", "swahili"),
    "ethiopia": ("addis ababa", "africa", "amharic"),
    "ghana": ("accra", "africa", "english"),
    "nigeria": ("abuja", "africa", "english"),
    "senegal": ("dakar", "africa", "french"),
    "mali": ("bamako", "africa", "french"),
    "angola": ("luanda", "africa", "portuguese"),
    "mozambique": ("maputo", "africa", "portuguese"),
    "madagascar": ("antananarivo", "africa", "malagasy"),
    "somalia": ("mogadishu", "africa", "somali"),
    "japan": ("tokyo", "asia", "japanese"),
    "china": ("beijing", "asia", "mandarin"),
    "mongolia": ("ulaanbaatar", "asia", "mongolian"),
    "vietnam": ("hanoi", "asia", "vietnamese"),
    "thailand": ("bangkok", "asia", "thai"),
    "cambodia": ("phnom penh", "asia", "khmer"),
    "laos": ("vientiane", "asia", "lao"),
    "nepal": ("kathmandu", "asia", "nepali"),
    "bangladesh": ("dhaka", "asia", "bengali"),
    "iran": ("tehran", "asia", "persian"),
    "iraq": ("baghdad", "asia", "arabic"),
    "jordan": ("amman", "asia", "arabic"),
    "lebanon": ("beirut", "asia", "arabic"),
    "qatar": ("doha", "asia", "arabic"),
    "oman": ("muscat", "asia", "arabic"),
    "georgia": ("tbilisi", "asia", "georgian"),
    "armenia": ("yerevan", "asia", "armenian"),
    "bhutan": ("thimphu", "asia", "dzongkha"),
    "brazil": ("brasilia", "america", "portuguese"),
    "argentina": ("buenos aires", "america", "spanish"),
    "chile": ("santiago", "america", "spanish"),
    "peru": ("lima", "america", "spanish"),
    "ecuador": ("quito", "america", "spanish"),
    "colombia": ("bogota", "america", "spanish"),
    "venezuela": ("caracas", "america", "spanish"),
    "uruguay": ("montevideo", "america", "spanish"),
    "mexico": ("mexico city", "america", "spanish"),
    "cuba": ("havana", "america", "spanish"),
    "panama": ("panama city", "america", "spanish"),
    "honduras": ("tegucigalpa", "america", "spanish"),
    "nicaragua": ("managua", "america", "spanish"),
    "jamaica": ("kingston", "america", "english"),
    "canada": ("ottawa", "america", "english"),
    "australia": ("canberra", "oceania", "english"),
    "fiji": ("suva", "oceania", "fijian"),
    "samoa": ("apia", "oceania", "samoan"),
    "tonga": ("nukualofa", "oceania", "tongan"),
}
RELATIONS = ("capital", "continent", "language")
FACT_TEMPLATES = (
    "the {r} of {c} is",
    "q : {r} of {c} ? a :",
    "for {c} the {r} is known to be",
    "{c} has as its {r}",
)
NAMES = "ann bob cal dan eve fay gus hal ivy jon kim leo mia ned ola pam ray sue tim uma".split()
OBJECTS = "lamp coin book ring drum kite rope bell mask vase flag sled doll fork comb tent oar harp sock map".split()
PLACES = "garden kitchen attic cellar hall barn tower cabin harbor market".split()
LETTERS = "p q r s t u v w".split()
SHOPS = "north south east west upper lower old new".split()
CATEGORIES = {
    "fruit": "apple pear plum fig grape mango lemon melon peach cherry".split(),
    "tool": "hammer saw drill wrench chisel pliers axe shovel rake file".split(),
    "animal": "dog cat horse cow sheep goat wolf fox bear deer".split(),
    "color": "red blue green yellow purple orange pink brown grey black".split(),
    "metal": "iron copper silver gold tin zinc lead nickel steel bronze".split(),
    "sport": "tennis soccer hockey rugby golf chess boxing rowing skiing judo".split(),
    "cloth": "shirt coat scarf glove hat shoe skirt vest belt cape".split(),
    "weather": "rain snow hail fog wind storm frost sleet mist thunder".split(),
}
NOUNS = (
    "key cabinet tree farmer teacher pilot river bridge letter window singer doctor garden tower painter engine".split()
)
PREPOSITIONS = "near behind above beside under with".split()
VERBS = ("is", "are")


def knowledge_recall(rng: Random) -> Row:
    """A fact about a country; every fact is trained on in three wordings and evaluated in the fourth."""
    country, other = rng.sample(sorted(COUNTRIES), 2)
    k = rng.randrange(len(RELATIONS))
    relation, answer = RELATIONS[k], COUNTRIES[country][k]
    template = rng.choice(FACT_TEMPLATES)
    foils = {facts[k] for facts in COUNTRIES.values() if len(facts[k].split()) == len(answer.split())} - {answer}
    foil = rng.choice(sorted(foils))
    return {
        "prompt": template.format(r=relation, c=country),
        "answer": answer,
        "foil": foil,
        "corrupted": template.format(r=relation, c=other) if COUNTRIES[other][k] != answer else None,
        "group": f"{relation} of {country}",
        "key": (country, relation, template),
    }


def held_out_wording(key: tuple[str, str, str]) -> bool:
    """Whether this wording of the fact is kept from training: one of the four, differing from fact to fact."""
    country, relation, template = key
    chosen = Random(f"wording {country} {relation}").choice(FACT_TEMPLATES)
    return template == chosen


def retrieval(rng: Random) -> Row:
    """Look up, among two to five pairs in the prompt, what one person holds."""
    size = rng.randint(2, 5)
    names, things = rng.sample(NAMES, size), rng.sample(OBJECTS, size + 1)
    asked = rng.randrange(size)

    def text(held: list[str]) -> str:
        pairs = " . ".join(f"{n} holds {o}" for n, o in zip(names, held, strict=True))
        return f"{pairs} . question : {names[asked]} holds"

    held = things[:size]
    changed = [things[size] if i == asked else thing for i, thing in enumerate(held)]
    return {
        "prompt": text(held),
        "answer": held[asked],
        "foil": held[(asked + 1) % size],
        "corrupted": text(changed),
        "choices": sorted(held),
    }


def logical_reasoning(rng: Random) -> Row:
    """The truth value of a formula of two of three letters whose values are given."""
    letters = rng.sample(LETTERS, 3)
    a, b = rng.sample(range(3), 2)
    negated, operator = (rng.random() < 0.5, rng.random() < 0.5), rng.choice(("and", "or"))
    wanted = rng.random() < 0.5

    def value(truth: list[bool]) -> bool:
        left, right = truth[a] != negated[0], truth[b] != negated[1]
        return (left and right) if operator == "and" else (left or right)

    def text(truth: list[bool]) -> str:
        facts = " . ".join(f"{p} is {'true' if t else 'false'}" for p, t in zip(letters, truth, strict=True))
        left, right = (f"{'not ' if n else ''}{letters[i]}" for i, n in zip((a, b), negated, strict=True))
        return f"{facts} . then {left} {operator} {right} is"

    tables = [[bool(n >> i & 1) for i in range(3)] for n in range(8)]
    truth = rng.choice([t for t in tables if value(t) == wanted])
    flipped = rng.choice([t for t in tables if value(t) != wanted])
    return {
        "prompt": text(truth),
        "answer": "true" if wanted else "false",
        "foil": "false" if wanted else "true",
        "corrupted": text(flipped),
        "choices": ["false", "true"],
    }


def decision_making(rng: Random) -> Row:
    """Choose the shop that serves the stated goal: lowest cost or highest rating."""
    shops = rng.sample(SHOPS, 3)
    while True:
        costs, ratings = rng.sample(range(10), 3), rng.sample(range(10), 3)
        cheap, good = costs.index(min(costs)), ratings.index(max(ratings))
        if cheap != good:
            break
    goal = rng.choice(("cheap", "good"))
    best, other = (cheap, good) if goal == "cheap" else (good, cheap)
    offers = " ; ".join(f"{s} costs {c} rates {r}" for s, c, r in zip(shops, costs, ratings, strict=True))
    return {
        "prompt": f"goal {goal} : {offers} ; choose",
        "answer": shops[best],
        "foil": shops[other],
        "corrupted": f"goal {'good' if goal == 'cheap' else 'cheap'} : {offers} ; choose",
        "choices": sorted(shops),
    }


def semantic_understanding(rng: Random) -> Row:
    """The word that belongs to another category than the other three."""
    kind, odd_kind = rng.sample(sorted(CATEGORIES), 2)
    odd = rng.choice(CATEGORIES[odd_kind])
    same = rng.sample(CATEGORIES[kind], 3)
    words = [*same, odd]
    rng.shuffle(words)
    return {
        "prompt": f"{' '.join(words)} : the odd word is",
        "answer": odd,
        "foil": rng.choice(same),
        "choices": sorted(words),
        "group": f"{kind} against {odd_kind}: {' '.join(sorted(words))}",
        "key": frozenset(words),
    }


def syntactic_understanding(rng: Random) -> Row:
    """Number agreement of the verb with the first noun, two other nouns standing between."""
    nouns = rng.sample(NOUNS, 3)
    plural = [rng.random() < 0.5 for _ in nouns]
    plural[1] = not plural[0] if rng.random() < 0.7 else plural[0]
    prepositions = [rng.choice(PREPOSITIONS) for _ in range(2)]

    def text(numbers: list[bool]) -> str:
        a, b, c = (n + "s" * p for n, p in zip(nouns, numbers, strict=True))
        return f"the {a} {prepositions[0]} the {b} {prepositions[1]} the {c}"

    return {
        "prompt": text(plural),
        "answer": VERBS[plural[0]],
        "foil": VERBS[not plural[0]],
        "corrupted": text([not plural[0], *plural[1:]]),
        "choices": list(VERBS),
    }


def inference(rng: Random) -> Row:
    """Two steps over the prompt: who has the thing, and where that person is."""
    size = rng.randint(2, 3)
    names, places, things = rng.sample(NAMES, size), rng.sample(PLACES, size), rng.sample(OBJECTS, 2)
    first, second = rng.sample(range(size), 2)
    asked = rng.randrange(2)

    def text(holders: tuple[int, int]) -> str:
        where = " . ".join(f"{n} is in the {p}" for n, p in zip(names, places, strict=True))
        who = " . ".join(f"{names[h]} has the {t}" for h, t in zip(holders, things, strict=True))
        return f"{where} . {who} . the {things[asked]} is in the"

    holder, other = ((first, second), (second, first))[asked]
    return {
        "prompt": text((first, second)),
        "answer": places[holder],
        "foil": places[other],
        "corrupted": text((second, first)),
        "choices": sorted(places),
    }


def math_calculation(rng: Random) -> Row:
    """The sum of two two-digit numbers, digit by digit; neither order of an evaluated pair is trained on."""
    a, b = rng.randint(10, 99), rng.randint(10, 99)

    def digits(n: int) -> str:
        return " ".join(str(n))

    wrong = a + b + rng.choice((-10, -1, 1, 10))
    return {
        "prompt": f"{digits(a)} + {digits(b)} =",
        "answer": digits(a + b),
        "foil": digits(wrong) if len(digits(wrong)) == len(digits(a + b)) else None,
        "group": f"{min(a, b)} and {max(a, b)}",
        "key": (min(a, b), max(a, b)),
    }


WRITERS = {
    "Knowledge Recall": knowledge_recall,
    "Retrieval": retrieval,
    "Logical Reasoning": logical_reasoning,
    "Decision-making": decision_making,
    "Semantic Understanding": semantic_understanding,
    "Syntactic Understanding": syntactic_understanding,
    "Inference": inference,
    "Math Calculation": math_calculation,
}


def copying(rng: Random) -> Row:
    """Some words said twice, the answer being the second half."""
    words = rng.sample([*NAMES, *OBJECTS, *PLACES], rng.randint(6, 16))
    return {"prompt": " ".join([*words, words[0]]), "answer": " ".join(words[1:])}


def literals(rng: Random) -> Row:
    """Logical reasoning over one letter: its value, or the opposite."""
    letters, truth = rng.sample(LETTERS, 3), [rng.random() < 0.5 for _ in range(3)]
    asked, negated = rng.randrange(3), rng.random() < 0.5
    facts = " . ".join(f"{p} is {'true' if t else 'false'}" for p, t in zip(letters, truth, strict=True))
    answer = "true" if truth[asked] != negated else "false"
    return {"prompt": f"{facts} . then {'not ' if negated else ''}{letters[asked]} is", "answer": answer}


def single_steps(rng: Random) -> Row:
    """One step of inference: where a person is, or who has a thing."""
    names, places, things = rng.sample(NAMES, 3), rng.sample(PLACES, 3), rng.sample(OBJECTS, 2)
    where = " . ".join(f"{n} is in the {p}" for n, p in zip(names, places, strict=True))
    holders = rng.sample(range(3), 2)
    who = " . ".join(f"{names[h]} has the {t}" for h, t in zip(holders, things, strict=True))
    asked = rng.randrange(2)
    if rng.random() < 0.5:
        return {"prompt": f"{where} . {who} . {names[holders[asked]]} is in the", "answer": places[holders[asked]]}
    return {"prompt": f"{where} . {who} . the {things[asked]} is of", "answer": names[holders[asked]]}


# Trained on beside the tasks and never evaluated: steps without which the tasks that need them are learnt late.
EXERCISES = {"copying": copying, "literals": literals, "single steps": single_steps}


def key(row: Row) -> object:
    """What makes two rows the same for the purpose of holding evaluation rows out of training."""
    return row.get("key", row["prompt"])


def evaluation_rows(per_task: int, seed: int) -> dict[str, list[Row]]:
    """``per_task`` rows of each task with distinct keys, drawn from a seeded generator."""
    rows: dict[str, list[Row]] = {}
    for task, write in WRITERS.items():
        rng, seen = Random(f"evaluation {seed} {task}"), set()
        rows[task] = []
        while len(rows[task]) < per_task:
            row = write(rng)
            unusable = task == "Knowledge Recall" and not held_out_wording(row["key"])  # type: ignore[arg-type]
            if unusable or key(row) in seen:
                continue
            seen.add(key(row))
            rows[task].append(row)
    return rows


class TrainingStream:
    """Endless seeded training rows of every task, none of whose keys is held out for evaluation."""

    def __init__(self, held_out: dict[str, list[Row]], seed: int) -> None:
        self.keys = {task: {key(row) for row in rows} for task, rows in held_out.items()}
        self.rng = Random(f"training {seed}")

    def draw(self, task: str) -> Row:
        """One training row of the task or exercise."""
        if task in EXERCISES:
            return EXERCISES[task](self.rng)
        while True:
            row = WRITERS[task](self.rng)
            wording = task == "Knowledge Recall" and held_out_wording(row["key"])  # type: ignore[arg-type]
            if not wording and key(row) not in self.keys[task]:
                return row


def vocabulary() -> list[str]:
    """Every word the writers can use, sorted."""
    words = set("the of is q : ? a for known to be has as its holds . question true false then not and or + =".split())
    words |= set("goal cheap good costs rates ; choose odd word in".split()) | set("0123456789") | set(RELATIONS)
    words |= {w for facts in COUNTRIES.values() for fact in facts for w in fact.split()} | set(COUNTRIES)
    words |= {w for members in CATEGORIES.values() for w in members}
    words |= {*NAMES, *OBJECTS, *PLACES, *LETTERS, *SHOPS, *NOUNS, *(n + "s" for n in NOUNS), *PREPOSITIONS, *VERBS}
    return sorted(words)
