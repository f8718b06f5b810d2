"""From a draft to its words: one jinja template a topic, which says nothing but the draft's values."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reportgen.core.blocks import title
from reportgen.core.sentences import PLAIN, TURNING, Texts
from reportgen.core.topics import TOPICS, Draft, Topic
from reportgen.errors import InputError
from reportgen.summary.limits import BODY, HEADLINE, MARKS, fitted, marked, plain, sentences, shortened

NAMED = (3, 2, 1, 0)  # how many names a list may have until a count stands for it: the most that keeps to the limits
APART = re.compile(r"--[ \t]*\n")  # the line between headline and body; a tag before it may have eaten its own end


class Wording:
    """Words claims with the shipped templates, or with those of ``folder``/summary where they exist.

    ``tasks`` are all of the study, so that the names of those that are alike can be told apart when they are cut.
    """

    def __init__(self, tasks: Sequence[str], folder: Path | None = None) -> None:
        self._texts = Texts("summary", TOPICS, folder)
        self._short = shortened([name.translate(TURNING).translate(MARKS) for name in tasks])

    def claim(self, topic: Topic, draft: Draft, block: str | None, strange: bool = False) -> tuple[str, str]:
        """Return headline and body, names still marked; raises InputError for a template that passes the limits.

        A ``strange`` draft is one that the topic did not make: the plain template words it.
        """
        name = PLAIN if strange else self._texts.chosen(f"{topic.name}.j2")
        found = list[tuple[str, str]]()
        for most in NAMED:
            headline, body = self._parts(name, draft, most, topic=topic.title)
            headline = f"{title(block).capitalize()}: {headline}" if block else headline
            if HEADLINE.holds(headline):
                found.append((headline, self._doubted(body, draft, most)))
        if not found:
            problem = f"the headline of the claim {draft.name} is too long: “{plain(headline)}”"
            hint = f"A headline has at most {HEADLINE.words} words and {HEADLINE.numbers} numbers"
            raise InputError(problem, f"summary/{name}", hint)
        # of like ones the first, which names most; a body of which not even the first sentence fits is left as it is
        headline, body = max(found, key=lambda each: len(sentences(fitted(each[1], BODY))))
        return headline, fitted(body, BODY) or body

    def _doubted(self, body: str, draft: Draft, most: int) -> str:
        """Return the evidence with what bounds it: where interventions differ, that comes first, and the way of testing
        on which it hinges after the first sentence, so that neither is what is left out for want of room.
        """
        first, *rest = sentences(body) or [""]
        named = {**self._values(draft), "most": most}
        differs, hinges = (
            self._text(case, named, draft.tasks) if key in draft.values else ""
            for case, key in (("differs", "costs_most"), ("hinges", "hinge"))
        )
        return " ".join(part for part in (differs, first, hinges, *rest) if part)

    def remark(self, name: str, values: Mapping[str, Any]) -> str:
        """Return a text that is no claim, without marks, as the case ``name`` of summary/_remarks.j2 words it."""
        named = {k: marked(v) if isinstance(v, str) else v for k, v in values.items()}
        named |= {k: [marked(each) for each in v] for k, v in values.items() if isinstance(v, list)}
        return plain(self._text(name, named))

    def _text(self, case: str, named: Mapping[str, Any], tasks: Sequence[str] = ()) -> str:
        """Return the case of summary/_remarks.j2 with values whose names are marked; raises InputError for none."""
        text = self._texts.fill("_remarks.j2", {"claim": case, "v": named, "tasks": tasks})
        if not text.strip():
            raise InputError(f"the template has no case {case}", "summary/_remarks.j2", "Give it each case of ours")
        return " ".join(sentences(text.translate(TURNING)))

    def _values(self, draft: Draft) -> dict[str, object]:
        return {key: self._named(value) for key, value in draft.values.items()}

    def _parts(self, name: str, draft: Draft, most: int, topic: str) -> tuple[str, str]:
        values = {
            "claim": draft.name,
            "topic": topic,
            "verdict": draft.verdict,
            "v": self._values(draft),
            "tasks": [self._named(each) for each in draft.tasks],
            "exceptions": [self._named(each) for each in draft.exceptions],
            "most": most,
        }
        headline, *bodies = APART.split(self._texts.fill(name, values).translate(TURNING), maxsplit=1)
        if not headline.strip():
            hint = "Give it a case for each claim of its topic, as ours has"
            raise InputError(f"the template says nothing of the claim {draft.name}", f"summary/{name}", hint)
        return " ".join(sentences(headline)).rstrip("."), " ".join(sentences("".join(bodies)))

    def _named(self, value: object) -> object:
        """Return a value as templates see it: names cut and marked, numbers as they are."""
        if isinstance(value, str):
            name = value.translate(TURNING).translate(MARKS)
            return marked(self._short.get(name) or shortened([name])[name])
        return [self._named(each) for each in value] if isinstance(value, list | tuple) else value
