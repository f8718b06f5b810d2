"""From a finding to its sentence: one jinja template per kind, rendered from the finding's fields only."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from reportgen.core import sandbox
from reportgen.core.blocks import title
from reportgen.core.confined import Confined, Fill
from reportgen.core.findings import Finding
from reportgen.core.kinds import KINDS, kind_of
from reportgen.core.plugins import Registry
from reportgen.core.sandbox import Sandbox, filled

# Marks that turn the direction of writing: in a name they would turn the numbers after it around too.
TURNING = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def template_folder() -> Path:
    """Return the shipped templates: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return next(f for f in (package / "templates", package.parent / "templates") if f.is_dir())


def own_templates(folder: Path | None) -> dict[str, bytes]:
    """Return the overriding templates and style sheets of a folder by their names in it."""
    if folder is None:
        return {}
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.suffix in (".j2", ".css")
    }


LONGEST = 9  # significant digits: as many as tell any two numbers of 32 bits apart


def significant(value: float, digits: int = 3) -> str:
    """Write a number with ``digits`` significant digits, without exponent between 1e-6 and 1e6."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    if rounded != 0:
        decimals = digits - 1 - math.floor(math.log10(abs(rounded)))
    if abs(rounded) < 1e-6 or abs(rounded) >= 1e6:
        return f"{rounded:.{digits - 1}e}".replace("-", "−")
    return f"{rounded:.{max(0, decimals)}f}".replace("-", "−")


def telling_digits(values: Sequence[float], digits: int = 3) -> int:
    """Return the significant digits that numbers need: more than ``digits`` where these write different ones alike.

    The spread then keeps two digits: of .99901 to .99909, three digits would tell that all are equal.
    """
    low, high = min(values, default=0.0), max(values, default=0.0)
    if low == high or not (math.isfinite(low) and math.isfinite(high)):
        return digits
    if significant(low, digits) != significant(high, digits):
        return digits
    return min(LONGEST, 2 + math.ceil(math.log10(max(abs(low), abs(high)) / (high - low))))


def times(value: float, digits: int = 2) -> str:
    """Write a ratio, with more digits where it would be a false 1."""
    more = (d for d in range(digits, LONGEST) if float(f"{value:.{d - 1}e}") != 1)
    return "1" if value == 1 else significant(value, next(more, LONGEST))


def plain(value: float) -> str:
    """Write a number as a person would write it down: ``0``, ``1.0028``."""
    return f"{value:.5g}".replace("-", "−")


def rho(value: float) -> str:
    """Write a correlation with two decimals, cut off below 1; what differs from 1 by a sum's last digits is 1."""
    text = f"{min(value, 0.99) if value < 1 - 1e-9 else value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def percent(value: float) -> str:
    """Write a percentage with one decimal that never rounds to a false 0 or 100: near 100 it is cut off at 99.9."""
    if 0 < value < 0.1:
        return "< 0.1"
    if 99.9 < value < 100:
        return "99.9"
    return f"{value:.0f}" if value in (0, 100) else f"{value:.1f}"


def probability(value: float) -> str:
    """Write a p- or q-value with its relation sign: ``= 0.012``, or ``< 0.0001``; never zero, never a false 1."""
    if value < 0.0001:
        return "< 0.0001"
    if 0.995 <= value < 1:
        return "> 0.99"
    return f"= {significant(value, 2)}"


def rough_time(seconds: float) -> str:
    """Write a time that is only an estimate: ``about 40 s``, ``about 12 min``, ``about 3.5 h``."""
    if seconds < 90:
        return "under 1 s" if seconds < 1 else f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def span(first: int, last: int, noun: str) -> str:
    """Write ``layer 24``, or ``layers 12–18``."""
    return f"{noun} {first}" if first == last else f"{noun}s {first}–{last}"


def listed(items: Sequence[object], last: str = "and") -> str:
    """Write ``A``, ``A and B``, ``A, B and C``."""
    words = [str(i) for i in items]
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


COUNTS = "no one two three four five six seven eight nine ten eleven twelve".split()


def spelled(count: int, words: Sequence[str] = COUNTS) -> str:
    """Write a count in words as far as there are ``words`` for it, beyond in digits."""
    return words[count] if 0 <= count < len(words) else f"{count:,}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write ``one head``, ``seven heads``, ``1,024 heads``."""
    return f"{spelled(count)} {noun if count == 1 else plural or noun + 's'}"


def whole(count: int) -> str:
    """Write a count in digits: ``37``, ``1,024``."""
    return f"{count:,}"


def ranged(low: str, high: str, to: str = "to") -> str:
    """Write ``0.3 to 0.5`` of two written numbers, one where they are written alike."""
    return low if low == high else f"{low} {to} {high}"


def rounded(value: float) -> str:
    """Write a number with two significant digits, whole where it has more before the point."""
    return f"{value:,.0f}".replace("-", "−") if abs(value) >= 100 else significant(value, 2)


def share(percentage: float) -> str:
    """Write a percentage with two digits, never a false 0 or 100."""
    return percent(percentage) if percentage < 0.1 or 99 < percentage < 100 else significant(percentage, 2)


def subject(finding: Finding) -> str:
    """Return what a finding speaks of: task, block of heads in an encoder-decoder, and whether scores with signs go by
    size.
    """
    size = "by size" if "absolute" in finding.caveats else ""
    return ", ".join(part for part in (finding.task, title(finding.block), size) if part)


# What a badge says of a verdict
VERDICTS = {
    "necessary": "needed",
    "unnecessary": "not needed",
    "mixed": "depends",
    "undecided": "undecided",
    "untested": "untested",
}


def badges(finding: Finding) -> str:
    """Write what interventions say of a finding, ``needed, specific``; nothing where none were made."""
    words = [VERDICTS[finding.verdict]] if finding.verdict else []
    return ", ".join([*words, *(["specific"] if finding.specific else [])])


FILTERS: dict[str, Callable[..., object]] = {
    "num": significant,
    "plain": plain,
    "telling_digits": telling_digits,
    "times": times,
    "rho": rho,
    "percent": percent,
    "q": probability,
    "listed": listed,
    "spelled": spelled,
    "counted": counted,
    "whole": whole,
    "ranged": ranged,
    "rounded": rounded,
    "share": share,
    "subject": subject,
    "block_title": title,
}


@lru_cache(maxsize=8)
def environment(*folders: Path, kind: str, overridden: bool = False) -> Sandbox:
    """Return the environment that texts of a kind are filled in, over the folders, the first that holds a template
    winning.

    They are plain text: HTML is escaped where they are printed, not here.
    """
    made = sandbox.environment(folders, FILTERS, kind=kind, overridden=overridden, autoescape=False)
    made.globals |= {"span": span}
    return made


PLAIN = "_default.j2"  # of what brings no template


class Texts:
    """Fills templates of the ``kind`` observations or summary: the shipped ones, or those of ``folder`` where they
    exist: then in a process of its own, with limits.

    Those beside other packages' plug-ins of the ``registry`` come last, so that none of them stands in place of ours.
    """

    def __init__(self, kind: str, registry: Registry[Any], folder: Path | None) -> None:
        shipped = [template_folder(), *registry.template_folders()]
        self._folders = [f / kind for f in (shipped if folder is None else [folder, *shipped])]
        self.overridden = folder is not None and self._folders[0].is_dir()
        self.fill: Fill = filling((kind, self._folders))
        if self.overridden:
            service = "reportgen.core.sentences:filling_overridden"
            self.fill = Confined(service, (kind, self._folders), str(self._folders[0]))

    def chosen(self, name: str) -> str:
        """Return the template's name, that of the plain one where there is none of its name."""
        return name if any((f / name).is_file() for f in self._folders) else PLAIN


class Prose:
    """Writes sentences with the shipped templates, or with those of ``folder``/observations where they exist."""

    def __init__(self, folder: Path | None = None) -> None:
        self._texts = Texts("observations", KINDS, folder)

    def sentence(self, finding: Finding) -> str:
        """Write the finding's sentence, and what an intervention on its heads showed where there was one.

        Raises InputError for a template that names an unknown field.
        """
        words = self._rendered(self._texts.chosen(f"{finding.kind}.j2"), finding)
        judged = finding.verdict or finding.robustness
        return f"{words} {self._rendered('_verdict.j2', finding)}" if judged else words

    def _rendered(self, name: str, finding: Finding) -> str:
        data = finding.data or {}
        kind, sought = kind_of(finding.kind), kind_of(str(data.get("searched", finding.kind)))
        words = {"label": kind.label, "noun": sought.noun, "together": sought.together}
        text = self._texts.fill(name, {"f": finding, "data": data, **words})
        return " ".join(text.translate(TURNING).split())


Setting = tuple[str, Sequence[Path]]  # a kind of texts, and the folders of their templates


def filling(setting: Setting) -> Fill:
    """Return what fills the templates of texts in these folders."""
    kind, folders = setting
    return partial(filled, environment(*folders, kind=kind))


def filling_overridden(setting: Setting) -> Fill:
    """Return the same for folders of which some hold templates that are not ours."""
    kind, folders = setting
    return partial(filled, environment(*folders, kind=kind, overridden=True))
