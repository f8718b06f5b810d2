"""From a finding to its sentence: one jinja template per kind, rendered from the finding's fields only."""

import math
import traceback
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

from reportgen.core.blocks import title
from reportgen.core.findings import Finding
from reportgen.core.kinds import KINDS, kind_of
from reportgen.core.user_cache import CompiledTemplates
from reportgen.errors import InputError

# Marks that turn the direction of writing: in a name they would turn the numbers after it around too.
TURNING = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def template_folder() -> Path:
    """The shipped templates: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return next(f for f in (package / "templates", package.parent / "templates") if f.is_dir())


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, without exponent between 1e-6 and 1e6."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    if rounded != 0:
        decimals = digits - 1 - math.floor(math.log10(abs(rounded)))
    if abs(rounded) < 1e-6 or abs(rounded) >= 1e6:
        return f"{rounded:.{digits - 1}e}".replace("-", "−")
    return f"{rounded:.{max(0, decimals)}f}".replace("-", "−")


def plain(value: float) -> str:
    """A number as a person would write it down: ``0``, ``1.0028``."""
    return f"{value:.5g}".replace("-", "−")


def rho(value: float) -> str:
    """A correlation with two decimals, cut off below 1."""
    text = f"{min(value, 0.99) if value < 1 else value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def percent(value: float) -> str:
    """A percentage with one decimal that never rounds to a false 0 or 100: near 100 it is cut off at 99.9."""
    if 0 < value < 0.1:
        return "< 0.1"
    if 99.9 < value < 100:
        return "99.9"
    return f"{value:.0f}" if value in (0, 100) else f"{value:.1f}"


def probability(value: float) -> str:
    """A p- or q-value with its relation sign: ``= 0.012``, or ``< 0.0001``; never zero, never a false 1."""
    if value < 0.0001:
        return "< 0.0001"
    if 0.995 <= value < 1:
        return "> 0.99"
    return f"= {significant(value, 2)}"


def span(first: int, last: int, noun: str) -> str:
    """``layer 24``, or ``layers 12–18``."""
    return f"{noun} {first}" if first == last else f"{noun}s {first}–{last}"


def listed(items: Sequence[Any]) -> str:
    """``A``, ``A and B``, ``A, B and C``."""
    words = [str(i) for i in items]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def subject(finding: Finding) -> str:
    """What a finding speaks of: its task, in an encoder-decoder the block of heads, and whether signs are left out."""
    size = "in absolute value" if "absolute" in finding.caveats else ""
    return ", ".join(part for part in (finding.task, title(finding.block), size) if part)


@lru_cache(maxsize=8)
def environment(*folders: Path) -> jinja2.Environment:
    """A strict, escaping jinja environment over the folders, the first that holds a template winning."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        bytecode_cache=CompiledTemplates("observations"),
    )
    made.filters |= {
        "num": significant,
        "plain": plain,
        "rho": rho,
        "percent": percent,
        "q": probability,
        "listed": listed,
    }
    made.filters |= {"subject": subject, "block_title": title, "kind": kind_of}
    made.globals |= {"span": span}
    return made


def broken(error: jinja2.TemplateError, name: str) -> InputError:
    """What to say of a template that cannot be filled: the file, the line and the name at fault."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith(".j2")]
    file, line = (frames[-1].filename, frames[-1].lineno) if frames else (name, None)
    if isinstance(error, jinja2.TemplateSyntaxError):
        file, line = error.filename or error.name or name, error.lineno
    place = f"{file}, line {line}" if line else file
    return InputError(f"the template fails ({error.message or error})", place, "Mend the template")


class Prose:
    """Writes sentences with the shipped templates, or with those of ``folder``/observations where they exist.

    Those beside other packages' detectors come last, so that none of them stands in place of ours.
    """

    def __init__(self, folder: Path | None = None) -> None:
        own = [folder / "observations"] if folder is not None else []
        others = [f / "observations" for f in KINDS.template_folders()]
        # Sentences are plain text: HTML is escaped where they are printed, not here.
        self._environment = environment(*own, template_folder() / "observations", *others).overlay(autoescape=False)

    def sentence(self, finding: Finding) -> str:
        """The finding's sentence, and what an intervention on its heads showed where there was one.

        Raises InputError for a template that names an unknown field.
        """
        words = self._rendered([f"{finding.kind}.j2", "_default.j2"], finding)
        return f"{words} {self._rendered(['_verdict.j2'], finding)}" if finding.verdict else words

    def _rendered(self, names: list[str], finding: Finding) -> str:
        """What the first of these templates that there is writes."""
        try:
            text = self._environment.select_template(names).render(f=finding, data=finding.data or {})
        except jinja2.TemplateError as error:
            raise broken(error, names[0]) from error
        return " ".join(text.translate(TURNING).split())
