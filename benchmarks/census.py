"""Which architectures' heads are found, and how their texts are run: ``python benchmarks/census.py``.

Builds a tiny random model of every causal, masked and sequence-to-sequence architecture of the installed transformers,
and of its classifier, looks for its heads, runs texts of mixed lengths in padded batches against the model's plain call
on each alone, loads the type's tokenizer, and writes tests/scoring/architectures.json and adapters.json (what the tests
expect) and docs/architectures.md.
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
from architectures import COLUMNS, CannotBuildError, architectures, classified, looked_at, tiny, verdict  # noqa: E402
from tokenizer_census import tokenizer  # noqa: E402

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
                adapters |= {} if adapter == "right" else {f"{kind}/{name}": adapter}
        except CannotBuildError as error:
            said, heads = f"cannot be built: {error}", None
        columns = expected[f"{kind}/{name}"] = {"heads": said}
        if heads is not None:
            columns |= {**looked_at(kind, name), "tokenizer": tokenizer(kind, name)}
        what, _, reason = verdict(columns).partition(": ")
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
        how = " | ".join(columns.get(column, "").partition(":")[0] for column in (*COLUMNS, "tokenizer"))
        remarks = (reason or rest).replace("|", "/")[:160]
        lines.append(f"| {name} | {KINDS[kind]} | {what} | {found} | {how} | {adapter.partition(':')[0]} | {remarks} |")
        print(name, kind, columns, flush=True)
    types = {name.split("/")[1] for name, columns in expected.items() if verdict(columns) == "verified"}
    summary = ", ".join(f"{what} {n}" for what, n in counts.most_common())
    (ROOT / "tests" / "scoring" / "architectures.json").write_text(json.dumps(expected, indent=1) + "\n")
    (ROOT / "tests" / "scoring" / "adapters.json").write_text(json.dumps(adapters, indent=1) + "\n")
    (ROOT / "docs" / "architectures.md").write_text(
        "# Architectures\n\nMade by `python benchmarks/census.py` with "
        f"transformers {version('transformers')}, on tiny "
        f"random configurations: {summary}; {len(types)} model types verified.\n\n"
        "- *Text alone*: layers whose heads are found on one short text: every slice of the output projection's input "
        "was seen to depend on that head's attention alone. *Untestable*: the number of heads is sure, their order is "
        "not.\n"
        "- *Padded*: texts of 3 to 8 tokens in one batch; *long*: texts of 7 to 40 tokens, on both sides of every "
        "window and block of attention (4 or 8 tokens here); *classifier*: the same with the type's classifier. "
        "Scores of ablated heads are those of the model's plain call on each text alone, to 10⁻⁴ of "
        "max(1, |log-odds|), and the cell says how texts are run for that: padded to one length, in batches of equal "
        "lengths, or one at a time. Empty: there is no such model. *With adapter*: LoRA on every output projection, "
        "merged into the weights, puts out what base and adapter do side by side.\n"
        "- *Tokenizer*: the class that transformers loads for the type, made of a few words, read a row and told its "
        "answer from its prompt. *Fast*: by offsets of characters; *slow*: of Python code, which knows none. *Needs* a "
        "package: it was not installed, and the class not tried. *None here*: the class reads no text alone, and a "
        "study with it is refused. Files published with a model may name another class.\n"
        "- *Verified*: all of these that apply. *Verified without its tokenizer*: all but that one; the model is right "
        "on token ids, so with a tokenizer of another family. *In part*: heads are found, and one of them is refused "
        "by name.\n\n"
        "| architecture | kind | class | text alone | padded | long | classifier | tokenizer | with adapter | remarks "
        "|\n"
        "|---|---|---|---|---|---|---|---|---|---|\n" + "\n".join(lines) + "\n"
    )
    print(f"{len(expected)} architectures: {summary}; {len(types)} model types verified")


if __name__ == "__main__":
    main()
