"""A finding in full: rule or null, numbers, cells, and how to compute it again."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from reportgen.analysis.detectors import DETECTORS
from reportgen.blocks import title, written
from reportgen.findings import Finding, Findings
from reportgen.prose import CAVEATS, listed, probability, significant
from reportgen.scores import Head


def as_json(finding: Finding) -> dict[str, Any]:
    """The finding's fields and its detector's documentation."""
    return {**asdict(finding), "detector": _documentation(finding)}


def text(finding: Finding, findings: Findings, folder: Path) -> str:
    """The finding for a terminal."""
    parts = [finding.sentence, "", f"{finding.id} ({finding.register}, scores of {finding.method})", ""]
    parts += [*_evidence(finding), *_place(finding), *_numbers(finding)]
    parts += [f"caveat: {CAVEATS[c]}" for c in finding.caveats if c in CAVEATS]
    parts += ["", "how it is found:", *(f"  {line}" for line in _documentation(finding).splitlines()), ""]
    parts += ["to compute it again:", f"  reportgen analyze {folder / 'scores.safetensors'} -o NEW "
              f"--set analysis.alpha={findings.alpha:g} --set analysis.seed={findings.seed}"]  # fmt: skip
    return "\n".join(parts)


def _documentation(finding: Finding) -> str:
    return next((d.doc.strip() for d in DETECTORS if d.kind == finding.kind), "")


def _evidence(finding: Finding) -> list[str]:
    test = finding.test
    if test is None:
        return [f"rule: {finding.rule}"]
    draws = "" if test.draws is None else f", {test.draws} Monte-Carlo draws (p is never below 1/{test.draws + 1})"
    return [f"test: {test.name}", f"null: {test.null}",
            f"statistic {significant(test.statistic)}, p {probability(test.p)}, q {probability(test.q)}{draws}",
            f"family: {test.family}, {test.family_size} tests"]  # fmt: skip


def _place(finding: Finding) -> list[str]:
    lines = [f"block: {title(finding.block)}"] if finding.block else []
    if finding.layers is not None:
        lines.append(f"layers {finding.layers[0]}–{finding.layers[1]}")
    if finding.heads is not None:
        lines.append(f"heads {finding.heads[0]}–{finding.heads[1]}")
    if finding.members:
        lines.append(f"members: {listed(finding.members)}")
    if finding.cells:
        lines.append("cells: " + " ".join(written(finding.block, Head(*cell)) for cell in finding.cells))
    return lines


def _numbers(finding: Finding) -> list[str]:
    lines = []
    if (value := finding.value) is not None:
        bounds = "" if value.low is None or value.high is None else f" [{value.low:.6g}, {value.high:.6g}]"
        lines.append(f"value ({value.of}; {value.split}): {value.estimate:.6g}{bounds}")
    if (effect := finding.effect) is not None:
        bounds = "" if effect.low is None or effect.high is None else f" [{effect.low:.4g}, {effect.high:.4g}]"
        lines.append(f"effect ({effect.name}): {effect.estimate:.4g}{bounds}")
    if finding.n_examples is not None:
        lines.append(f"examples: {finding.n_examples}")
    return lines
