"""What commands print: one JSON object, or lines."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from reportgen.cli.streams import holds, out, say

if TYPE_CHECKING:
    from reportgen.core.claims import ClaimsFile
    from reportgen.core.config import Study
    from reportgen.core.plugins import Plugin
    from reportgen.pipeline.build import Built
    from reportgen.scoring.run.cost import FoundLayer, Plan

# what moves a cursor, changes colours or titles, or turns the direction of reading
STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Return the text with characters that steer a terminal as JSON writes them, such as \\u001b."""
    return STEERS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def warn(plugins: "Iterable[Plugin]") -> None:
    """Print the plug-ins that are left out, a line each on stderr, whatever else is asked to be quiet."""
    for failure in (plugin.failure for plugin in plugins):
        if failure:
            say(plain(f"reportgen: {failure} All else stands."))


def left_out(templates: Sequence[str]) -> None:
    """Print which of a report's templates were not used, a line on stderr, whatever else is asked to be quiet."""
    if templates:
        what = f"templates that came with the report are left out and ours used ({', '.join(templates)})"
        hint = "--trust-templates uses them, where you trust who wrote them"
        say(plain(f"reportgen: {what}; {hint}."))


def show(as_json: bool, content: object, lines: Sequence[str]) -> None:
    """Print one JSON object, or lines."""
    if not as_json:
        out(plain("\n".join(lines)))
        return
    text = plain(json.dumps(content, ensure_ascii=False))
    out(text if holds(text) else plain(json.dumps(content)))


def announce(built: "Built", as_json: bool, output: str | None = None) -> None:
    """Print the report's paths, in the folder as the caller wrote it, and its claims."""
    from reportgen.core.claims import to_json
    from reportgen.core.scores import read_as

    output = output or str(built.folder)
    paths = [f"{output}/{p.name}" for p in (built.html, built.pdf) if p.is_file()]
    content = {
        "output": output,
        "files": paths,
        "findings": len(built.findings.findings),
        "claims": to_json(built.claims)["claims"],
    }
    read = [f"read as: {told}" for told in read_as(built.scores.blocks[0])]
    content |= {"read": read} if read else {}
    show(as_json, content, [*paths, *read, "", *claim_lines(built.claims)])
    warn(built.plugins)
    left_out(built.left_out)
    if built.lacking:
        from reportgen.rendering.plots.system_fonts import advice

        say(plain(f"reportgen: in {built.pdf.name} {advice(built.lacking)}"))


def claim_lines(claims: "ClaimsFile") -> Iterator[str]:
    """Yield the claims for a terminal, each with its evidence, and the searches that found nothing."""
    for i, claim in enumerate(claims.claims, 1):
        yield f"{i}. {claim.headline} [{', '.join(claim.badges)}]"
        if claim.body:
            yield f"   {claim.body}"
    if claims.nothing:
        yield claims.nothing
    if claims.left_out:
        yield claims.left_out
    if claims.searches is not None:
        yield claims.searches.text


def print_plan(study: "Study", as_json: bool, validated: bool = False) -> None:
    """Print what scoring would cost and, where heads are to be knocked out, what that would."""
    from dataclasses import asdict

    from reportgen.core.sentences import rough_time
    from reportgen.scoring.run.cost import plan
    from reportgen.validation.plan import foreseen

    cost = plan(study)
    content, lines = asdict(cost), list(plan_lines(cost))
    if validated and study.validation.enabled:
        later = foreseen(cost, study)
        content["validation"] = asdict(later)
        lines.append(
            f"validation: up to {later.runs:,.0f} runs of one example, {later.budget:g} × exact zero ablation "
            f"([validation] budget; the smallest that would do is about {later.smallest:.1g} ×), "
            f"{rough_time(later.seconds)} at most"
        )
    show(as_json, content, lines)


def described_lines(described: dict[str, Any]) -> Iterator[str]:
    """Yield a method's description, a line a thing."""
    for key, value in described.items():
        if key == "parameters":
            yield from (f"parameter {name} = {p['default']}: {p['doc']}" for name, p in value.items())
        elif key == "references":
            yield from (f"reference: {each}" for each in value)
        elif value:
            yield f"{key}: {', '.join(value) if isinstance(value, list) else value}"


def plan_lines(cost: "Plan") -> Iterator[str]:
    """Yield a scoring plan for a terminal: what was found, and what scoring it costs."""
    from reportgen.core.sentences import rough_time

    yield (
        f"{len(cost.examples)} tasks, {sum(cost.examples.values())} examples in {cost.batches} batches; "
        f"{cost.layers} layers × {cost.heads} heads"
    )
    yield from map(found_line, cost.found)
    for m in cost.methods:
        yield f"{m.method}: {m.forwards:.0f} forwards of a batch, {rough_time(m.seconds)}{m.more}"
    yield f"{rough_time(cost.seconds)} and {cost.memory_bytes / 2**20:.0f} MiB in all"
    yield from (f"task {row.task}, row {row.id!r}: {row}" for row in cost.rows)
    yield from cost.notes


def found_line(found: "FoundLayer") -> str:
    """Return one layer's heads, or why it has none."""
    block = f"{found.block} " if found.block else ""
    layer = f"{block}layer {found.layer}" if found.layer is not None else f"{block}beside the layers"
    if not found.heads:
        return f"{layer}: no heads, {found.reason} ({found.module})"
    groups = f" in {found.kv_heads} key/value groups" if found.kv_heads not in (None, found.heads) else ""
    order = "" if found.order == "verified" else "; their order could not be tested"
    return f"{layer}: {found.heads} heads of {found.size}{groups} ({found.module}){order}"
