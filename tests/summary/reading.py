"""Reading claims as a hostile reader does: every number, name and count of a text, and where each stands in values."""

import re
from collections.abc import Iterator, Mapping

from made_findings import HEAD

from reportgen.core.claims import Claim
from reportgen.core.sentences import COUNTS
from reportgen.summary.limits import shortened

NUMBER = re.compile(r"(?<![\w.,])−?\d+(?:,\d{3})*(?:\.\d+)?(?:e[−-]?\d+)?")
PLACES = re.compile(
    r"\b([Ll]ayers?|[Hh]eads?|strips in layers) (\d+(?:–\d+)?(?:(?:, | and )\d+(?:–\d+)?)*)(?![\d,.]*\d)(?! of)"
)
# Words of counts that are not counts where they stand
IDIOMS = (
    "the one task",
    "no other",
    "no better",
    "no claim",
    "no ranking",
    "no head",
    "no more than",
    "no two",
    "one and",
    "one task and",
    "for one task",
    "on one task",
    "costs one",
    "out one",
)


def names_in(claim: Claim, every_task: Mapping[str, str] | None = None) -> list[str]:
    """The names that a claim may say, as they are when they are short enough, the longest first."""
    said = [*claim.tasks, *claim.exceptions]
    said += [
        v
        for value in claim.values.values()
        for v in (value if isinstance(value, tuple) else (value,))
        if isinstance(v, str)
    ]
    short = {name: (every_task or {}).get(name, name) for name in said}
    alone = [s for name in said for s in shortened([name]).values()]
    return sorted({n for n in (*said, *alone, *short.values()) if n}, key=len, reverse=True)


def without_names(text: str, names: list[str]) -> str:
    for name in names:
        text = re.sub(rf"(?<![\w–]){re.escape(name)}(?![\w–])", "◊", text)
    return text


def unheld(claim: Claim, every_task: Mapping[str, str]) -> Iterator[str]:
    """What a claim says that its values do not hold: numbers, counts in words, heads, layers, names of tasks."""
    held = {value for value in claim.values.values() if isinstance(value, int | float)}
    held |= {len(value) for value in claim.values.values() if isinstance(value, tuple)}
    text = f"{claim.headline}. {claim.body}"
    names = names_in(claim, every_task)
    said = " ".join(names)
    foreign = {short for short in every_task.values() if short not in said}
    yield from (f"task {short}" for short in foreign if re.search(rf"(?<!\w){re.escape(short)}(?!\w)", text))
    yield from (head for head in HEAD.findall(without_names(text, names)))
    rest = without_names(text, names)
    yield from (f"{m[1]} {m[2]}" for m in PLACES.finditer(rest) if not holds(m[2], held))
    yield from (number for number in NUMBER.findall(PLACES.sub("", rest)) if not holds(number, held))
    for idiom in IDIOMS:
        rest = re.sub(idiom, "", rest, flags=re.I)
    for i, word in enumerate(COUNTS):
        if re.search(rf"\b{word}\b", rest, re.I) and i not in held:
            yield word
    if re.search(r"\bboth\b", rest) and 2 not in held:
        yield "both"


def holds(number: str, held: set[int | float]) -> bool:
    """Whether a printed number is one of these, rounded to its digits; near 0, 1 and 100 it may be cut off."""
    plain = number.replace("−", "-").replace(",", "")
    value = float(plain)
    digits = len(plain.partition(".")[2])
    step = 0.5 * 10.0**-digits if "e" not in plain else abs(value) * 0.05
    cut = {
        0.0001: lambda v: v < 0.0001,
        0.99: lambda v: 0.99 <= v < 1,
        99.9: lambda v: 99.9 < v < 100,
        0.1: lambda v: 0 < v < 0.1,
    }
    return any(abs(v - value) <= step * 1.001 for v in held) or any(cut.get(value, lambda v: False)(v) for v in held)


GRAMMAR = {
    "two spaces": re.compile(r"  "),
    "a space before a mark": re.compile(r" [,.;:)](?!\d)"),
    "a mark without a space": re.compile(r"[,;.:](?=[A-Za-z◊])"),
    "a doubled word": re.compile(r"\b(\w+) \1\b"),
    "one of several": re.compile(r"\b(?:one|1) (?:tasks|heads|others|answers|layers|searches)\b"),
    "several of one": re.compile(
        r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve) (?:task|head|answer|layer|search)\b"
    ),
    "an empty pair": re.compile(r"\(\s*\)|“\s*”"),
    "a template's mark": re.compile(r"[{}\ue000\ue001]|None|undefined|_"),
    "an English have": re.compile(r"^(?:(?!One)\w+ of \w+|All|All \w+|Both) tasks (?:has|needs|is|does|matters)\b"),
}


def faults(claim: Claim, every_task: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a claim's grammar."""
    names = names_in(claim, every_task)
    for text in (claim.headline, claim.body):
        plain = without_names(text, names)
        yield from (f"{what}: {text}" for what, rule in GRAMMAR.items() if rule.search(plain))
        if plain and not (plain[0].isupper() or plain[0] in "◊…" or plain[0].isdigit() or not plain[0].isascii()):
            yield f"a small letter first: {text}"
        if plain.count("(") != plain.count(")"):
            yield f"brackets: {text}"
    if claim.body and claim.body[-1] not in ".":
        yield f"no full stop: {claim.body}"
    if claim.headline.endswith("."):
        yield f"a full stop: {claim.headline}"
