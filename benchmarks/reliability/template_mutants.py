"""Faults in the templates of sentences, each of which the tests that read every sentence must notice.

One at a time: a printed number is another, or one unit of its last digit away; a number in the fixed words is another;
a range of layers or heads is shifted; an interval's ends, or what lies inside and outside, change places; a task is
named that the finding is not about. Findings of the tests' own tensors are written anew with the faulty template, and
read by those tests. A fault that changes no sentence of theirs was not met; one that leaves no sentence at all is left
out.
"""

import json
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from apart import apart

ROOT = Path(__file__).resolve().parents[2]
SHOWN = re.compile(r"\{\{ ?(?P<of>[^{}|]+)(?P<filter>\|(?:num|rho|percent|q|plain)(?:\(\d\))?)(?P<end> ?\}\})")
PLAIN = re.compile(r"\{\{ ?(?P<of>(?:data|f)\.[a-z_.]+(?:\|length)?) ?\}\}")
SPAN = re.compile(r"span\((?P<first>[^,()]+), (?P<last>[^,()]+), (?P<noun>\"\w+\")\)")
SWAPPED = (("low", "high"), ("inside", "outside"), ("above", "below"), ("most", "least"))
OTHER = "Logic"  # a task of the tests' tensors


def faults(text: str) -> Iterator[tuple[str, int, str]]:
    """The sort of each fault, its line, and the template with it."""

    def at(match: re.Match[str], sort: str, new: str) -> tuple[str, int, str]:
        return sort, text.count("\n", 0, match.start()) + 1, text[: match.start()] + new + text[match.end() :]

    for match in SHOWN.finditer(text):
        yield at(match, "another number", f"{{{{ (({match['of']}) * 1.37){match['filter']}{match['end']}")
        yield at(match, "one unit of its last digit", f"{{{{ {match['of']}{match['filter']}|nudged{match['end']}")
    for match in PLAIN.finditer(text):
        of = match["of"] if "|" not in match["of"] else f"({match['of']})"
        yield at(match, "another number or name", f'{{{{ {of} + 1 if {of} is number else "{OTHER}" }}}}')
    for match in SPAN.finditer(text):
        shifted = f"span({match['first']} + 1, {match['last']} + 1, {match['noun']})"
        yield at(match, "a shifted range", shifted)
    for match in re.finditer(r"\{\{ f\|subject \}\}", text):
        yield at(match, "another task", OTHER)
    for match in re.finditer(r"\{\{ [a-z_.]+\|listed \}\}", text):
        yield at(match, "another task", f'{{{{ ["{OTHER}", "Inference"]|listed }}}}')
    for match in re.finditer(r"(?<![\w({.\[])\d+(?= %(?!\}))", text):
        yield at(match, "another fixed number", str(int(match[0]) + 1))
    for one, other in SWAPPED:
        for match in re.finditer(rf"(?<=[._])(?:{one}|{other})(?=[ |}}])(?=[^{{}}%]*\}}\}})", text):
            yield at(match, "changed places", other if match[0] == one else one)


def nudged(text: str) -> str:
    """A printed number that is one unit of its last digit away."""
    places = [i for i, c in enumerate(text) if c.isdigit() and "e" not in text[:i]]
    if not places:
        return text
    last = places[-1]
    return f"{text[:last]}{8 if text[last] == '9' else int(text[last]) + 1}{text[last + 1 :]}"


def noticed(kind: str, name: str, template: str) -> dict[str, Any]:
    """Write the tests' findings with the template of that name; which test fails ("": none), and of how many."""
    from reportgen.core import sentences as prose
    from reportgen.errors import InputError

    read, noise = import_module("test_sentences"), import_module("test_sentences_of_noise")
    with tempfile.TemporaryDirectory() as held:
        folder = Path(held) / "templates"
        shutil.copytree(ROOT / "templates" / "observations", folder / "observations")
        (folder / "observations" / name).write_text(template)
        prose.environment.cache_clear()
        prose.environment(folder / "observations").filters["nudged"] = nudged
        writer = prose.Prose()
        writer._fill = prose.filling([folder / "observations"])
        changed, example = 0, ""

        def again(finding: Any) -> Any:
            nonlocal changed, example
            if kind and finding.kind != kind:
                return finding
            sentence = writer.sentence(finding)
            if sentence != finding.sentence:
                changed, example = changed + 1, sentence
            return replace(finding, sentence=sentence)

        try:
            read.READ = [again(f) for f in read.READ]
            noise.READ = [(names, again(f)) for names, f in noise.READ]
        except (InputError, TypeError) as error:
            return {"breaks": str(error)[:200]}
    kinds = [kind] if kind else sorted({f.kind for f in read.READ})
    tests = [
        (read.test_every_number_is_a_field, kinds),
        (noise.test_every_number_and_head_is_the_findings, kinds),
        (noise.test_every_range_of_layers_or_heads_is_the_findings, kinds),
        (noise.test_no_task_is_named_that_the_finding_is_not_about, [None]),
        (noise.test_a_range_of_one_is_written_in_the_singular, [None]),
        (read.test_every_interval_and_comparison_prints_two_fields_that_belong_together_in_their_order, [None]),
        (read.test_a_sentence_on_one_task_begins_with_it_and_says_every_name_and_word_that_it_holds, [None]),
        (read.test_registers_keep_their_words, [None]),
        (read.test_sentences_read_like_sentences, [None]),
    ]
    for test, over in tests:
        for of in over:
            try:
                test() if of is None else test(of)
            except AssertionError:
                return {"failed": test.__name__, "changed": changed}
    return {"failed": "", "changed": changed, "example": example}


def tried_templates() -> dict[str, Any]:
    """Try every fault of every template."""
    for place in (ROOT / "tests", ROOT / "tests" / "analysis", ROOT / "sample_data" / "figure"):
        sys.path.insert(0, str(place))
    import_module("test_sentences_of_noise")  # which analyses the tests' tensors, once
    counts, by, left = Counter[str](), Counter[str](), list[dict[str, Any]]()
    for path in sorted((ROOT / "templates" / "observations").glob("*.j2")):
        kind = "" if path.stem.startswith("_") else path.stem
        if path.stem in ("_verdict", "causal_validation"):  # of interventions, which these tensors have not
            continue
        for sort, line, template in faults(path.read_text()):
            told, end = apart(noticed, kind, path.name, template)
            told = told or {"breaks": end}
            result = (
                "left out"
                if "breaks" in told
                else "killed"
                if told["failed"]
                else "survived"
                if told["changed"]
                else "not met"
            )
            counts[result] += 1
            by[told.get("failed", "")] += result == "killed"
            if result in ("survived", "not met"):
                left.append(
                    {"template": path.name, "line": line, "fault": sort, "result": result, "sentence": told["example"]}
                )
                print(json.dumps(left[-1], ensure_ascii=False), flush=True)
    return {"counts": dict(counts), "killed by": dict((+by).most_common()), "not killed": left}
