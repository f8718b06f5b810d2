"""Mutation testing: small faults put into the detectors, and into the templates of sentences, which tests must notice.

    pip install cosmic-ray==8.7.0
    python benchmarks/reliability/mutants.py detectors [--minutes M] [--only KIND ...] [--seed N]
    python benchmarks/reliability/mutants.py sentences

The faults in detectors are Cosmic Ray's: an operator, a comparison, a number, a condition or a loop that is another. Of
those at one place and of one sort one is drawn; what changes an annotation alone is left out. They are tried in random
order until M (40) minutes are over, each in a process of its own, by those tests of tests/analysis that name the kind,
less the few that take long (``SLOW``); the nulls that a kind simulates are simulated anew. Cosmic Ray's own runner
starts Python for every mutant, which takes longer than the tests do. The faults in templates, which Cosmic Ray does not
know, are our own (see template_mutants.py). Writes its part of benchmarks/results/mutants.json.
"""

import argparse
import ast
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from difflib import ndiff
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

from apart import apart

ROOT = Path(__file__).resolve().parents[2]
TESTS, DETECTORS = ROOT / "tests" / "analysis", ROOT / "reportgen" / "analysis" / "detectors"
RESULTS = ROOT / "benchmarks" / "results" / "mutants.json"
CACHE = Path(os.environ.get("REPORTGEN_CACHE", "~/.cache/reportgen")).expanduser()
OWN_NULLS = {"head_band": "head-bands", "layer_band": "layer-bands"}  # files of the cache that a kind itself makes
SLOW = (
    "at_most_a_tenth_of_clean",
    "the_schema_notices",
    "fit_the_published_schema",
    "reliability_cover",
    "against_the_norm_covers",
    "clean_tensors_carry",
    "held_against_its_own_null",
    "many_writers",
    "every_kind_that_tests",
    "every_form_of_data",
    "families_share_alpha",
    "hold_no_specialist",
)
MOST = 150  # seconds of a processor that the tests may take for a mutant: they take 5 to 30 without one
LATE = ("test_sentences.py", "test_sentences_of_noise.py")  # they analyse much, so the others go first


@dataclass(frozen=True)
class Mutant:
    """A fault at a place of a module: one of those of its sort."""

    kind: str
    sort: str
    line: int
    operator: Any
    occurrence: int


def mutants(path: Path, rng: random.Random) -> list[Mutant]:
    """A module's mutants, one for each place and sort of fault."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    found, nodes = dict[tuple[Any, ...], list[tuple[Any, int]]](), list(ast_nodes(get_ast(path.read_text())))
    for name in sorted(operator_names()):
        operator_class = get_operator(name)
        if operator_class.arguments():
            continue
        operator, occurrence = operator_class(), 0
        for node in nodes:
            for place in operator.mutation_positions(node):
                found.setdefault((place, operator_class.__module__), []).append((operator, occurrence))
                occurrence += 1
    return [
        Mutant(path.stem, module.rpartition(".")[2], place[0][0], *rng.choice(choices))
        for (place, module), choices in found.items()
    ]


def faulty(mutant: Mutant) -> tuple[str, str, str] | None:
    """The module's code with the fault, and the lines before and after; None where it changes annotations alone."""
    from cosmic_ray.mutating import mutate_code

    source = (DETECTORS / f"{mutant.kind}.py").read_text()
    code = mutate_code(source, mutant.operator, mutant.occurrence)
    if code is None or not _parses(code) or _unannotated(code) == _unannotated(source):
        return None
    lines = [line for line in ndiff(source.splitlines(), code.splitlines()) if line[:1] in "+-"]
    was, now = (" / ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return code, was, now


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def _unannotated(code: str) -> str:
    """What a module does, its annotations apart."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg):
            node.annotation = ast.Constant(0)
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
    return ast.dump(tree)


def files_for(kind: str) -> tuple[list[str], list[str]]:
    """The test files that name a kind, or take what they test from one that does, and those of sentences."""
    shared = {p.stem for p in TESTS.glob("*.py") if not p.name.startswith("test_") and kind in p.read_text()}
    texts = {p: p.read_text() for p in sorted(TESTS.glob("test_*.py")) if p.name not in LATE}
    named = [p for p, text in texts.items() if kind in text or any(f"from {s} import" in text for s in shared)]
    return [str(p) for p in sorted(named, key=lambda p: p.stat().st_size)], [str(TESTS / name) for name in LATE]


class FirstFault:
    """A pytest plug-in that remembers the first test that failed, or the file that could not be read."""

    def __init__(self) -> None:
        self.test = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid


def tested(kind: str, code: str, late: bool) -> dict[str, Any]:
    """Run the tests on a module's mutated code: the first that fails ("" for none), and the processor time."""
    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (MOST, MOST + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (4 * 2**30,) * 2)
    signal.alarm(20 * MOST)
    name, original = f"reportgen.analysis.detectors.{kind}", SourceFileLoader.get_code

    def get_code(self: Any, fullname: str) -> Any:
        return compile(code, self.path, "exec") if fullname == name else original(self, fullname)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as held, open(os.devnull, "w") as nowhere:
        for path in CACHE.glob("*") if CACHE.is_dir() else ():  # nulls that are not the kind's own need not be made
            if not path.name.startswith(OWN_NULLS.get(kind, "\0")):
                (Path(held) / path.name).symlink_to(path)
        os.environ["REPORTGEN_CACHE"] = held
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
        fault, options = FirstFault(), ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=no"]
        first, second = files_for(kind)
        for files in (first, second) if late else (first,):  # what the second imports takes longer than the first
            ended = pytest.main([*options, "-k", f"not ({' or '.join(SLOW)})", *files], plugins=[fault])
            if ended:
                break
    return {
        "failed": fault.test or (f"pytest ended with {ended}" if ended else ""),
        "seconds": round(time.process_time(), 1),
    }


def tried(chosen: argparse.Namespace) -> dict[str, Any]:
    """Try mutants of the detectors until the time is over."""
    import jinja2  # noqa: F401  (what every process would import is imported once)
    import jsonschema  # noqa: F401
    import pydantic  # noqa: F401
    import pytest  # noqa: F401
    import scipy.ndimage
    import scipy.stats  # noqa: F401

    rng, ends = random.Random(chosen.seed), time.monotonic() + 60 * chosen.minutes
    paths = [p for p in sorted(DETECTORS.glob("*.py")) if p.stem != "__init__"]
    wanted = [p for p in paths if not chosen.only or p.stem in chosen.only]
    todo, counts = list[tuple[int, Mutant]](), dict[str, Counter[str]]()
    for path in wanted:
        made = mutants(path, rng)
        counts[path.stem] = Counter(places=len(made))
        sound, end = apart(tested, path.stem, path.read_text(), False)
        if end or sound["failed"]:
            raise SystemExit(f"{path.stem}: the tests fail without a fault: {end} {sound}")
        print(f"{path.stem}: {len(made)} places, its own tests take {sound['seconds']} s", flush=True)
        rng.shuffle(made)
        todo += enumerate(made)
    todo.sort(key=lambda each: each[0])  # one of each kind, then the next
    survived, by = list[dict[str, Any]](), Counter[str]()
    for _, mutant in todo:
        made_faulty = faulty(mutant)
        if time.monotonic() > ends:
            break
        if made_faulty is None:
            counts[mutant.kind]["annotations"] += 1
            continue
        code, was, now = made_faulty
        told, end = apart(tested, mutant.kind, code, True)
        failed = end or told["failed"]
        result = "timed out" if end.endswith(("-24", "-14", "-9")) else "killed" if failed else "survived"
        counts[mutant.kind].update((result, "tried"))
        by[failed.partition("[")[0]] += bool(failed)
        if result != "killed":
            about = {"kind": mutant.kind, "line": mutant.line, "sort": mutant.sort, "was": was, "now": now}
            survived.append(about | {"result": result})
            print(json.dumps(survived[-1], ensure_ascii=False), flush=True)
    total = sum(counts.values(), Counter[str]())
    return {
        "seed": chosen.seed,
        "minutes": chosen.minutes,
        "total": dict(total),
        "kinds": {k: dict(c) for k, c in counts.items()},
        "killed by": dict((+by).most_common()),
        "not killed": survived,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["detectors", "sentences"])
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if chosen.what == "detectors":
        made = tried(chosen)
    else:
        from template_mutants import tried_templates

        made = tried_templates()
    print(json.dumps(made, indent=1, ensure_ascii=False))
    kept = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    chosen.out.write_text(json.dumps({**kept, chosen.what: made}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
