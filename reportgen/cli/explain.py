"""A finding in full: rule or null, numbers, cells, how to compute it again; a claim down to its findings' fields."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote

from reportgen.core.blocks import title, written
from reportgen.core.caveats import IN_SAMPLE
from reportgen.core.claims import Claim
from reportgen.core.findings import Finding, Findings
from reportgen.core.kinds import caveats, kind_of
from reportgen.core.scores import Head
from reportgen.core.sentences import listed, probability, significant, span

SHOWN = 3  # fields that are named as a number's source


def as_json(finding: Finding, findings: Findings, folder: Path) -> dict[str, object]:
    """Return the finding's fields, its detector's documentation, and the lines that compute it again."""
    again = {"commands": _commands(finding, findings, folder), "by_hand": program(finding, folder)}
    return {**asdict(finding), "detector": kind_of(finding.kind).doc.strip(), "again": again}


def text(finding: Finding, findings: Findings, folder: Path) -> str:
    """Return the finding as text for a terminal."""
    parts = [finding.sentence, "", f"{finding.id} ({finding.register}, scores of {finding.method})", ""]
    parts += [*_evidence(finding, findings), *_location(finding), *_numbers(finding)]
    meanings = caveats()
    parts += [f"caveat: {meanings[c]}" for c in finding.caveats if c in meanings]
    parts += ["", "how it is found:", *(f"  {line}" for line in kind_of(finding.kind).doc.strip().splitlines())]
    parts += ["", "to compute it again:", *(f"  {line}" for line in _commands(finding, findings, folder))]
    if lines := program(finding, folder):
        parts += ["", "its numbers by hand, in Python:", *(f"  {line}" for line in lines)]
    return "\n".join(parts)


def claim_json(claim: Claim, findings: Findings, folder: Path) -> dict[str, object]:
    """Return the claim's fields, where each of its numbers stands in its support, and how to make it again."""
    sources = {name: _sources(name, value, claim, findings) for name, value in claim.values.items()}
    return {**asdict(claim), "sources": sources, "again": {"commands": _claim_commands(claim, folder)}}


def claim_text(claim: Claim, findings: Findings, folder: Path) -> str:
    """Return the claim as text for a terminal: its numbers with the fields that hold them, then its findings."""
    about = f"{claim.id} ({', '.join(claim.badges)}; strength {claim.strength:.3g})"
    parts = [f"{claim.headline}.", *([claim.body] if claim.body else []), "", about, ""]
    for word, names in (("on", claim.tasks), ("all but", claim.exceptions)):
        parts += [f"{word}: {listed(names)}"] if names else []
    parts += ["", "its numbers and names, and the fields that hold them:"]
    for name, value in claim.values.items():
        sources = _sources(name, value, claim, findings)
        held = f"  {', '.join(sources[:SHOWN])}" if sources else "  counted, or joined, over the support"
        parts.append(f"  {name} = {listed(value) if isinstance(value, tuple) else _shown(value)}{held}")
    parts += ["", "it rests on:"]
    parts += [f"  {name}: {findings.get(name).sentence}" for name in claim.support]
    return "\n".join([*parts, "", "to make it again:", *(f"  {line}" for line in _claim_commands(claim, folder))])


def _claim_commands(claim: Claim, folder: Path) -> list[str]:
    place = quote(str(folder))
    return [f"reportgen summarize {place}", *(f"reportgen explain {place} {name}" for name in claim.support)]


def _sources(key: str, value: object, claim: Claim, findings: Findings) -> list[str]:
    """Return the fields of a claim's support that hold the value of that key, as ``id: data.percent``."""
    if isinstance(value, tuple):
        return []
    found = ((name, path, each) for name in claim.support for path, each in _leaves(asdict(findings.get(name))))
    same = ((name, path) for name, path, each in found if each == value and type(each) is type(value))
    # small counts stand in many fields by chance: only those that bear the value's name hold it
    return [f"{name}: {path}" for name, path in same if not isinstance(value, int) or path.endswith(f".{key}")]


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield the numbers and texts within plain values, each with the path of keys that leads to it."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}".lstrip("."))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for i, each in enumerate(value):
            yield from _leaves(each, f"{path}[{i}]")
    else:
        yield path, value


def _evidence(finding: Finding, findings: Findings) -> list[str]:
    test = finding.test
    if test is None:
        return [f"rule: {finding.rule}"]
    draws = "" if test.draws is None else f", {test.draws} Monte-Carlo draws (p is never below 1/{test.draws + 1})"
    family = next((f for f in findings.families if f.id == test.family), None)
    level = "" if family is None else f" at α = {family.alpha:.2g}, {family.correction}"
    return [
        f"test: {test.name}",
        f"null: {test.null}",
        f"statistic {significant(test.statistic)}, p {probability(test.p)}, q {probability(test.q)}{draws}",
        f"family: {test.family}, {test.family_size} tests{level}",
    ]


def _location(finding: Finding) -> list[str]:
    lines = [f"block: {title(finding.block)}"] if finding.block else []
    if finding.layers is not None:
        lines.append(span(*finding.layers, "layer"))
    if finding.heads is not None:
        lines.append(span(*finding.heads, "head"))
    if finding.members:
        lines.append(f"members: {listed(finding.members)}")
    if finding.cells:
        lines.append("cells: " + " ".join(written(finding.block, Head(*cell)) for cell in finding.cells))
    return lines


def _numbers(finding: Finding) -> list[str]:
    lines = []
    if (value := finding.value) is not None:
        name, what = value.named
        bounds = "" if value.low is None or value.high is None else f"; {what}: {value.low:.6g} to {value.high:.6g}"
        lines.append(f"value ({name}; {value.split}): {value.estimate:.6g}{bounds}")
    if (effect := finding.effect) is not None:
        bounds = "" if effect.low is None or effect.high is None else f" [{effect.low:.4g}, {effect.high:.4g}]"
        lines.append(f"effect ({effect.name}): {effect.estimate:.4g}{bounds}")
    if finding.n_examples is not None:
        lines.append(f"examples: {finding.n_examples}")
    single = {k: v for k, v in (finding.data or {}).items() if v is not None and not isinstance(v, list | dict)}
    return [*lines, *(f"{name.replace('_', ' ')}: {_shown(v)}" for name, v in single.items())]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _commands(finding: Finding, findings: Findings, folder: Path) -> list[str]:
    """Return the commands that run the analysis again and print this finding of it."""
    settings = {"alpha": f"{findings.alpha:g}", "seed": findings.seed}
    if finding.test is not None and finding.test.draws is not None:
        settings["permutations"] = finding.test.draws
    chosen = " ".join(f"--set analysis.{key}={value}" for key, value in settings.items())
    return [f"reportgen analyze {quote(str(folder))} -o NEW {chosen}", f"reportgen explain NEW {finding.id}"]


def program(finding: Finding, folder: Path) -> list[str]:
    """Return lines of Python that print the finding's value and then its effect, from the stored scores alone.

    They cover what is plain arithmetic on one task's map, with no detector of ours; for other findings there are none.
    """
    # a mean over all of its cells, or that of the one head it names, whose sign is kept
    known = finding.value if finding.index and finding.value and finding.value.named[0] in ("mean", "head") else None
    numbers = (
        [f"print({'signed' if known.estimate < 0 else 'importance'}[{finding.index}].mean())  # value"] if known else []
    )
    if finding.effect is not None and (lines := kind_of(finding.kind).recompute(finding)):
        numbers += [*lines[:-1], f"{lines[-1]}  # effect"]
    if not numbers or finding.task is None:
        return []
    block = "" if finding.block is None else f", block={finding.block!r}"
    held_out = IN_SAMPLE.code not in finding.caveats if finding.value is None else finding.value.split == "held-out"
    importance = "scores.importance[t]"
    if held_out:
        importance = "reduce_examples(examples.values[~examples.discovery], scores.reduction)"
    return [
        *(["import numpy as np"] if any("np." in line for line in numbers) else []),
        "from reportgen import load_scores",
        *(["from reportgen.core.scores import reduce_examples"] if held_out else []),
        f"scores = load_scores({str(folder / 'scores.safetensors')!r}{block})",
        f"t = scores.task_names.index({finding.task!r})",
        *(["examples = scores.examples[t]"] if held_out else []),
        f"signed = {importance}.astype(float)",
        "importance = abs(signed)",
        *numbers,
    ]
