"""What the report says that it cannot tell."""

from dataclasses import replace

from made_reports import SPECIAL, build, make_findings, make_scores, make_study, sections, view_of

from reportgen.core.findings import Findings


def test_a_race_tells_what_it_cannot_promise(tmp_path):
    scores = make_scores(("One",))
    for settings in ({}, {"examples": "adaptive", "confidence": 0.95, "top_k": 3, "exact_top": False}):
        method = replace(scores.method, name="zero_ablation", parameters=settings)
        folder = tmp_path / f"{len(settings)}"
        build(folder, replace(scores, method=method), Findings({}, 0.05, 0, [], []), make_study(formats=["html"]))
        assert ("raced for the top 3 of each task" in sections(folder)["limits"]) == bool(settings)
        assert ("one in a hundred, can be missed" in sections(folder)["limits"]) == bool(settings)


def test_each_limit_stands_only_where_it_applies_the_gravest_first():
    bare, rich = view_of("limits"), view_of("limits", SPECIAL, make_scores(examples=8, synthetic=True))
    begins = [text.split(":")[0].split(";")[0] for text in bare["limits"]]
    assert begins == [
        "No head was knocked out (the scores came without the model)",
        "There are no per-example scores",
        "How well the model does the tasks is not recorded",
        "Whether heads share keys and values is not recorded",
        "Where the named heads look on single examples is not shown",
        "Only one scoring method was used",
        "Findings are about these tasks as given, not about the abilities that their names suggest.",
    ]
    assert [text.split(":")[0] for text in rich["limits"][:2]] == [
        "The scores are synthetic",
        "The model is not shown to be above chance on Logic; importance there means little.",
    ]
    assert not {*bare["limits"]} & {*rich["limits"][:-2]}
    assert bare["caveats"] == []
    assert {"head-order", "edges"} <= dict(
        view_of("limits", make_findings(make_scores()), make_scores())["caveats"]
    ).keys()
