"""A study for double-blind review: without authors, and with the last part alone of every path."""

import re
from collections.abc import Mapping
from dataclasses import replace

import tomli_w

from reportgen.core.config import Study
from reportgen.core.study_scores import Scores
from reportgen.errors import InputError

ROOTED = re.compile(r"(?:[A-Za-z]:[\\/]|\\\\|~|/)")  # how an absolute path begins, here or on another system


def anonymous(study: Study) -> Study:
    """Return the study as a blind report archives it: its own text is written anew, so that no remark in it survives.

    Raises InputError where title or notes name an author: prose is the authors' to change.
    """
    about = study.study
    for author in about.authors:
        for name, text in (("title", about.title), ("notes", about.notes)):
            if author.casefold() in text.casefold():
                hint = "Take the name out, or build without --anonymous"
                raise InputError(f"it names an author, {author}", f"[study] {name}", hint)
    named = study.named_as(None if study.model_as_written is None else last_part(study.model_as_written))
    blind = named.model_copy(update={"study": about.model_copy(update={"authors": []})})
    return blind.model_copy(update={"source": tomli_w.dumps(_plain(blind))})


def last_part(text: str) -> str:
    """Return the last part of an absolute path, or of one shortened to its end; any other text as it is."""
    return re.split(r"[\\/]", text.rstrip("\\/"))[-1] if ROOTED.match(text) or text.startswith("…/") else text


def overrides(values: Mapping[str, object]) -> dict[str, object]:
    """Return values set over a study, without authors and with the last part alone of every path."""
    return {
        name: last_part(value) if isinstance(value, str) else value
        for name, value in values.items()
        if name != "study.authors"
    }


def without_path(scores: Scores) -> Scores:
    """Return the scores with their model called by the last part of its path; themselves where it is already."""
    model = scores.blocks[0].model
    named = replace(model, path=model.path and last_part(model.path))
    if all(block.model == named for blocks in scores.methods.values() for block in blocks):
        return scores
    methods = {name: tuple(replace(b, model=named) for b in blocks) for name, blocks in scores.methods.items()}
    return replace(scores, methods=methods)


def _plain(study: Study) -> dict[str, object]:
    """Return what the study sets, as TOML can hold it; its templates lie in the report, whatever they were called."""
    outside = {"source": True, "report": {"templates"}}
    raw = study.model_dump(mode="json", exclude_none=True, exclude_unset=True, exclude=outside)  # type: ignore[arg-type]
    for section in raw.values():
        for key in ("path", "adapter"):
            if isinstance(section.get(key), str):
                section[key] = last_part(section[key])
    return raw
