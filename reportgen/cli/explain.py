"""What a report holds, by name: a finding in full, with rule or null, numbers, cells, and how to compute it again; a
claim down to the fields of its findings; a head on every task; or a list of all names.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from reportgen.core.blocks import parsed, title, written
from reportgen.core.caveats import IN_SAMPLE
from reportgen.core.claims import Claim, Claims
from reportgen.core.findings import Finding, Findings
from reportgen.core.kinds import caveats, kind_of
from reportgen.core.scores import Head, HeadScores
from reportgen.core.sentences import VERDICTS, listed, probability, significant, span
from reportgen.core.trials import Trials
from reportgen.errors import InputError

SHOWN = 3  # fields that are named as a number's source
NEAR, ALIKE = 4, 0.6  # names that are suggested at most; how alike they have to be, as difflib counts it
HEAD = re.compile(r"(?:(\w+)\.)?L(\d+)H(\d+)")


def explained(name: str | None, claims: Claims, folder: Path) -> tuple[object, list[str]]:
    """Return what is known of a claim, a finding or a head by its name, or without one the list of all names: as plain
    JSON values, and as lines for a terminal. Raises InputError that suggests the nearest names for an unknown one.
    """
    trials = claims.made_from
    findings = trials.findings
    if name is None:
        return _every(claims), list(_every_line(claims, folder))
    if (claim := claims.find(name)) is not None:
        return claim_json(claim, findings, folder), [claim_text(claim, findings, folder)]
    if (block := _block_of(name, findings)) is not None:
        known = head_json(name, block, claims, trials)
        return known, list(_head_lines(known, block, claims, findings))
    if name not in {f.id for f in findings.findings}:
        raise InputError(f"no claim, finding or head is called {name!r}", str(folder), _near(name, claims, folder))
    finding = findings.get(name)
    return as_json(finding, findings, folder), [text(finding, findings, folder)]


def _every(claims: Claims) -> dict[str, object]:
    findings = claims.made_from.findings
    blocks = findings.made_from.blocks
    return {
        "claims": {claim.id: claim.headline for claim in (*claims.claims, *claims.further)},
        "findings": {f.id: f.sentence for f in findings.ranked()},
        "heads": {str(b.block or "heads"): [b.n_layers, b.n_heads] for b in blocks},
    }


def _every_line(claims: Claims, folder: Path) -> Iterator[str]:
    findings = claims.made_from.findings
    yield "claims, the strongest first:"
    yield from (f"  {claim.id}: {claim.headline}" for claim in (*claims.claims, *claims.further))
    yield from ([f"  {claims.nothing}"] if claims.nothing else [])
    yield from ("", "findings, the most important first:")
    yield from (f"  {f.id}: {f.sentence}" for f in findings.ranked())
    yield ""
    for b in findings.made_from.blocks:
        first, last = (written(b.block, Head(*each)) for each in ((0, 0), (b.n_layers - 1, b.n_heads - 1)))
        yield f"heads: {first} to {last}"
    yield f"reportgen explain {quote(str(folder))} NAME tells all that is known of one of them"


def _near(name: str, claims: Claims, folder: Path) -> str:
    """Return a hint that names what is called nearly so: what holds the name, or is spelled like it."""
    findings = claims.made_from.findings
    names = [*(c.id for c in (*claims.claims, *claims.further)), *(f.id for f in findings.ranked())]
    blocks = findings.made_from.blocks
    if match := HEAD.fullmatch(name.rpartition(".")[2].upper()):
        head = Head(int(match[2]), int(match[3]))
        found = [written(b.block, head) for b in blocks if _has(b, head)]
        if found:
            return f"Did you mean {_or(found)}?"
        sizes = (f"{title(b.block)} {b.n_layers} layers × {b.n_heads} heads".strip() for b in blocks)
        return f"Heads count from zero, and there are {listed(list(sizes))}"
    low = name.lower()
    inside = [each for each in names if low in each.lower()]
    like = difflib.get_close_matches(low, [each.lower() for each in names], n=NEAR, cutoff=ALIKE)
    found = list(dict.fromkeys([*inside, *(each for each in names if each.lower() in like)]))[:NEAR]
    return f"Did you mean {_or(found)}?" if found else f"`reportgen explain {folder}` lists all names"


def _or(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _block_of(name: str, findings: Findings) -> HeadScores | None:
    """Return the block that has the head of that name, None where it is no head that is there."""
    match = HEAD.fullmatch(name)
    if match is None:
        return None
    blocks = (b for b in findings.made_from.blocks if b.block == match[1])
    return next((b for b in blocks if _has(b, Head(int(match[2]), int(match[3])))), None)


def _has(block: HeadScores, head: Head) -> bool:
    return head.layer < block.n_layers and head.head < block.n_heads and bool(block.present[head])


def head_json(name: str, block: HeadScores, claims: Claims, trials: Trials) -> dict[str, object]:
    """Return a head's importance, rank and loss on every task, the sets that it was knocked out with, and the findings
    and claims that name it.

    Losses of log-probability (natural log) are those of the head alone, by intervention; None where it was not tried.
    """
    head, findings = parsed(name), trials.findings.of_block(block.block).ranked()
    naming = [f for f in findings if _names(f, name, head, block)]
    held = {f.id for f in naming}
    sets = [] if trials.validation is None else [t for t in trials.validation.trials if name in t.heads]
    return {
        "head": name,
        "unit": block.method.unit,
        "tasks": [_on_task(t, name, head, block, trials) for t in range(len(block.tasks))],
        "sets": [
            {"id": t.id, "tasks": t.tasks, "heads": t.heads, "verdict": t.verdict, "specific": t.specific} for t in sets
        ],
        "findings": [f.id for f in naming],
        "claims": [c.id for c in (*claims.claims, *claims.further) if held & {*c.support}],
    }


def _names(finding: Finding, name: str, head: Head, block: HeadScores) -> bool:
    return name in (finding.members or ()) or bool(finding.mask(block.present.shape)[head])


def _on_task(t: int, name: str, head: Head, block: HeadScores, trials: Trials) -> dict[str, object]:
    task, size = block.tasks[t].name, np.abs(block.importance[t].astype(float))
    examples, ranks = block.examples[t], list[object]()
    signed = None if examples is None or not (examples.values < 0).any() else examples
    for f in trials.findings.by_task(task):
        data, members = f.data or {}, list(f.members or ())
        ends = [data.get("first_ranks"), data.get("last_ranks")]
        if f.block == block.block and name in members and all(isinstance(end, list) and end for end in ends):
            ranks = [end[members.index(name)] for end in ends if isinstance(end, list)]
    found = trials.validation
    losses = {} if found is None else {how: by[name] for how, by in found.losses.get(task, {}).items() if name in by}
    margins = {} if found is None else {each.name: each.margin for each in found.tasks}
    return {
        "task": task,
        "importance": float(block.importance[t][head]),
        "mean_signed": None if signed is None else float(signed.values[:, head.layer, head.head].mean(dtype=float)),
        "rank": 1 + int((size > size[head]).sum()),
        "of": int(block.present.sum()),
        "rank_interval": ranks or None,
        "loss_alone": losses or None,
        "margin": margins.get(task),
    }


def _head_lines(known: Mapping[str, Any], block: HeadScores, claims: Claims, findings: Findings) -> Iterator[str]:
    yield f"{known['head']}, importance by {block.method.name} ({known['unit']})"
    yield ""
    for row in known["tasks"]:
        ends, loss = row["rank_interval"], row["loss_alone"]
        parts = [f"{significant(row['importance'])}", f"rank {row['rank']} of {row['of']}"]
        parts[1] += f" ({ends[0]} to {ends[1]})" if ends else ""
        parts += [f"mean signed {significant(row['mean_signed'])}"] if row["mean_signed"] is not None else []
        if loss:
            costs = ", ".join(f"{significant(value)} ({how})" for how, value in loss.items())
            margin = "" if row["margin"] is None else f", margin {significant(row['margin'])}"
            parts.append(f"knocked out alone it costs {costs} nats{margin}")
        yield f"{row['task']}: {'; '.join(parts)}"
    yield from _section(
        "knocked out with others:",
        (
            f"{each['id']} ({', '.join(each['tasks'])}): {listed(each['heads'])}: {VERDICTS[each['verdict']]}"
            f"{', more than other heads of the same layers' if each['specific'] else ''}"
            for each in known["sets"]
        ),
    )
    yield from _section(
        "claims that rest on findings about it:",
        (f"{name}: {claim.headline}" for name in known["claims"] if (claim := claims.find(name))),
    )
    yield from _section("findings about it:", (f"{name}: {findings.get(name).sentence}" for name in known["findings"]))
    if not (known["sets"] or known["findings"]):
        yield from ("", "no finding names it")


def _section(heading: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    yield from ("", heading, *(f"  {line}" for line in found)) if found else ()


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
