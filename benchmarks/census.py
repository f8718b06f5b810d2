"""Which architectures' heads are found: ``python benchmarks/census.py``.

Builds a tiny random model of every causal, masked and sequence-to-sequence architecture of the installed transformers,
looks for its heads, and writes tests/scoring/architectures.json (what the test expects) and docs/architectures.md.
"""

import json
import sys
import warnings
from collections import Counter
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "scoring"))

from adapter_census import with_adapter  # noqa: E402
from architectures import CannotBuildError, architectures, classified, tiny  # noqa: E402

KINDS = {"causal": "causal", "masked": "masked", "seq2seq": "sequence-to-sequence"}


def main() -> None:
    """Look at every architecture; print the counts."""
    warnings.simplefilter("ignore")
    expected, adapters, lines, counts = {}, {}, [], Counter[str]()
    for kind, name in architectures():
        adapter = ""
        try:
            model = tiny(kind, name)
            said, heads = classified(model)
            if heads is not None:
                adapter = with_adapter(kind, model.requires_grad_(False), heads)
        except CannotBuildError as error:
            said, heads = f"cannot be built: {error}", None
        expected[f"{kind}/{name}"] = said
        adapters |= {f"{kind}/{name}": adapter} if adapter not in ("", "right") else {}
        what, _, reason = said.partition(": ")
        counts[what] += 1
        found = (
            ""
            if heads is None
            else "; ".join(
                f"{block + ' ' if block else ''}{sum(s.block == block for s in heads.sites)} of {heads.depth[block]} "
                "layers"
                for block in heads.blocks
            )
        )
        rest = "" if heads is None else "; ".join(sorted({s.reason.partition(" (")[0] for s in heads.skipped}))
        lines.append(
            f"| {name} | {KINDS[kind]} | {what} | {found} | {adapter.partition(':')[0]} "
            f"| {(reason or rest).replace('|', '/')[:160]} |"
        )
    types = {name.split("/")[1] for name, said in expected.items() if said == "verified"}
    summary = ", ".join(f"{what} {n}" for what, n in counts.most_common())
    (ROOT / "tests" / "scoring" / "architectures.json").write_text(json.dumps(expected, indent=1) + "\n")
    (ROOT / "tests" / "scoring" / "adapters.json").write_text(json.dumps(adapters, indent=1) + "\n")
    (ROOT / "docs" / "architectures.md").write_text(
        "# Architectures\n\nMade by `python benchmarks/census.py` with "
        f"transformers {version('transformers')}, on tiny "
        f"random configurations: {summary}; {len(types)} model types verified. *Verified*: every slice of the "
        "output projection's input was seen to depend on that head's attention alone. *Untestable*: the number of "
        "heads is sure, their order is not. *With adapter*: LoRA on every output projection, merged into the weights, "
        "puts out what base and adapter do side by side.\n\n"
        "| architecture | kind | class | layers with heads | with adapter | remarks |\n|---|---|---|---|---|---|\n"
        + "\n".join(lines)
        + "\n"
    )
    print(f"{len(expected)} architectures: {summary}; {len(types)} model types verified")


if __name__ == "__main__":
    main()
