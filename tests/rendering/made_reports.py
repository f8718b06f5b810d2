"""Hand-made scores, findings and studies, and a function that renders them."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from reportgen.core.config import ReportSection, ScoresSection, Study, StudySection
from reportgen.core.findings import Effect, Family, Finding, Findings, Test, Value, to_json
from reportgen.core.scores import Examples, HeadScores, Method, Model, Task
from reportgen.core.trials import Trials
from reportgen.rendering.render import render
from reportgen.rendering.report import build_report
from reportgen.rendering.sections.common import SECTIONS
from reportgen.storage.files import sha256, write_atomic
from reportgen.storage.json_files import pretty_json
from reportgen.storage.scores_file import SCORES, scores_bytes
from reportgen.summary.summarize import summarize

HOSTILE = (
    "<script>alert(1)</script>",
    "\"quoted\" & 'single' $x_1$ \\input{x} 100 % #1 ~ ^ {}",
    "emoji 😀 and 漢字 and \u202eעברית",
    "=HYPERLINK(1)",
    "long " + "task name " * 30,
)


def make_scores(names=("Recall", "Logic"), shape=(6, 8), seed=0, examples=0, synthetic=False, **rest):
    rng = np.random.default_rng(seed)
    values = rng.lognormal(-8, 0.6, (len(names), *shape))
    tasks = tuple(Task(n) for n in names)
    if examples:
        per_task = [
            Examples(
                (rng.normal(0, 1, (examples, *shape)) * v).astype(np.float32),
                tuple(str(i) for i in range(examples)),
                tuple(str(i) for i in range(examples)),
                np.arange(examples) % 2 == 0,
            )
            for v in values
        ]
        values = np.stack([np.abs(e.values).mean(axis=0) for e in per_task])
        rest["examples"] = tuple(per_task)
        tasks = tuple(Task(n, n=examples, accuracy=0.5 if t else 0.95, chance=0.5) for t, n in enumerate(names))
    method = Method("gate_gradient", "log-odds per gate", "log_odds")
    return HeadScores(values, tasks, method, Model("models/tiny"), synthetic=synthetic, **rest)


def make_findings(scores: HeadScores) -> Findings:
    layers, heads = scores.n_layers, scores.n_heads
    found = []
    for i, name in enumerate(scores.task_names):
        test = Test("rectangle scan", "heads shuffled within each layer", 9.1, 0.00025, 0.002, "cluster", 8, 4000)
        found.append(
            Finding(
                f"cluster/{name}/1",
                "cluster",
                "m",
                "tested",
                0.9,
                f"{name}: a cluster.",
                task=name,
                layers=(0, min(2, layers - 1)),
                heads=(0, min(3, heads - 1)),
                test=test,
                n_examples=40,
                value=Value(0.00173, 0.0015, 0.002, "mean; 10–90 % of cells", "held-out"),
                effect=Effect("ratio to layer median", 3.1, 2.8, 3.4),
                caveats=["head-order", "edges"],
            )
        )
        found.append(
            Finding(
                f"anomaly/{i}",
                "anomaly",
                "m",
                "observed",
                0.5,
                f"{name}: L0H0.",
                rule="the largest head",
                task=name,
                members=[f"L{layers - 1}H{heads - 1}", "L0H0"],
                value=Value(0.1, None, None, "head", "in-sample"),
            )
        )
    found.append(
        Finding(
            "absence/1",
            "absence",
            "m",
            "observed",
            0.1,
            "No gradient was found.",
            rule="no test passed",
            tasks=list(scores.task_names),
        )
    )
    return Findings(
        {}, 0.05, 0, [Family("cluster", 8, 0.05, "Benjamini–Hochberg over tasks, thresholds of the rank before")], found
    )


def make_study(**report) -> Study:
    return Study(
        study=StudySection(title="A study of heads", authors=["A. Author"], notes="Some notes."),
        scores=ScoresSection(path=Path("scores.csv")),
        report=ReportSection(**report),
        source='[study]\ntitle = "A study of heads"\n',
    )


def build(folder: Path, scores: HeadScores, findings: Findings | None = None, study: Study | None = None, **rest):
    folder.mkdir(parents=True, exist_ok=True)
    findings = findings or make_findings(scores)
    data = scores_bytes(scores)
    findings = findings.with_scores({SCORES: sha256(data)})
    write_atomic(folder / SCORES, data)
    write_atomic(folder / "findings.json", pretty_json(to_json(findings)))
    rest.setdefault("claims", summarize(Trials(findings)))
    return render(scores, findings, study or make_study(), folder, **rest)


def make_blocks(names=("Recall", "Logic"), examples=0, errors=False, **method):
    """Three blocks of different depth, one of them with a layer without heads."""
    shapes = {"enc": (4, 4), "dec": (6, 4), "cross": (6, 4)}
    made = [make_scores(names, shape, i, examples, block=b) for i, (b, shape) in enumerate(shapes.items())]
    described = replace(made[0].method, **method)
    values = [b.importance.copy() for b in made]
    values[1][:, 2] = np.nan
    return tuple(
        replace(b, importance=v, method=described, examples=tuple(_sampled(e, v, errors) for e in b.examples))
        for b, v in zip(made, values, strict=True)
    )


def _sampled(examples, importance, errors):
    if examples is None:
        return None
    values = np.where(np.isnan(importance[0]), np.nan, examples.values)
    return replace(examples, values=values, errors=np.full_like(values, 0.5) if errors else None)


def find_in_blocks(blocks) -> Findings:
    """A cluster of each block's first task, and single heads named with their block."""
    findings = [
        replace(f, id=f"{b.block}/{f.id}", block=b.block, members=f.members and [f"{b.block}.{m}" for m in f.members])
        for b in blocks
        for f in make_findings(b).findings[:2]
    ]
    return Findings({}, 0.05, 0, [], findings)


RULE = {"register": "observed", "rule": "as stated"}
SPECIAL = [
    Finding(
        "method_agreement/Recall",
        "method_agreement",
        "m",
        priority=0.4,
        sentence="Both rank alike.",
        task="Recall",
        **RULE,
    ),
    Finding(
        "causal_validation/Recall",
        "causal_validation",
        "m",
        priority=0.8,
        sentence="Knocking out did it.",
        task="Recall",
        **RULE,
    ),
    Finding("reliability/Recall", "reliability", "m", priority=0.3, sentence="Halves agree.", task="Recall", **RULE),
    Finding("competence/Recall", "competence", "m", priority=0.2, sentence="Above chance.", task="Recall", **RULE),
    Finding(
        "cluster/x",
        "cluster",
        "m",
        priority=0.7,
        sentence="A judged cluster.",
        task="Recall",
        layers=(0, 1),
        heads=(0, 1),
        verdict="unnecessary",
        value=Value(0.1, None, None, "mean", "in-sample"),
        **RULE,
    ),
]


def sections(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    parts = re.split(r'<section id="([a-z-]+)" class', page)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def text_of(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def view_of(name, findings=(), scores=None, others=None, provenance=None, validation=None, claims=None, **report):
    """The values of one section of a report, None where it has nothing to say."""
    scores = scores or make_scores(("Recall",))
    found = findings if isinstance(findings, Findings) else Findings({}, 0.05, 0, [], list(findings))
    made = build_report(
        (scores,), found, make_study(**report), others or {}, provenance or {}, validation, claims=claims
    )
    return next(section for section in SECTIONS.own() if section.name == name).view(made)
