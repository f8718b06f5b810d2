"""Task differentiation."""

import pytest
from hand_made import finding, said


@pytest.mark.parametrize(
    ("over", "within", "headline"),
    [
        (0.73, 0.26, "Tasks share layers more than heads"),
        (0.73, 0.65, "Tasks rank heads alike"),
        (0.04, 0.03, "Tasks rank most heads unlike each other"),
    ],
)
def test_what_tasks_share(over: float, within: float, headline: str) -> None:
    data = {
        "median": over,
        "median_within": within,
        "heads": 64,
        "most": ["B", "A"],
        "most_rho": 0.47,
        "most_low": 0.3,
        "unrelated": -0.14,
    }
    other = finding("layer_gradient", "A", 0.001, -0.8, layers=(0, 7), data={"direction": "falls", "whole": True})
    claims = said(finding("task_similarity", tasks=["A", "B", "C"], data=data), other)
    (claim,) = (c for c in claims.values() if c.topic == "tasks")
    assert claim.headline == headline
    assert claim.body.endswith("Beyond what all share, A and B are most alike (0.47).")
    assert said(finding("task_similarity", tasks=["A", "B", "C"], data=data)).keys() == {"heads/nothing"}


def test_tasks_that_are_more_localised_as_tested() -> None:
    rows = [("Math", 17.6, ["Recall", "Syntax"]), ("Logic", 25.1, ["Recall"])]
    found = [
        finding(
            "concentration",
            t,
            0.0001,
            1.5,
            data={"compared": True, "own": own, "least": 28.0, "most": 37.0, "others": o},
        )
        for t, own, o in rows
    ]
    (claim,) = said(*found).values()
    assert claim.headline == "Math and Logic are more localised than others"
    assert claim.body == (
        "The importance of Math is as if spread over 18 heads, that of Recall and Syntax over 28 to 37 (q ≤ 0.00010)."
    )


def test_groups_that_differ_in_a_band_and_those_that_do_not() -> None:
    data = {"group": "complex", "other": None, "others": 6, "inside": 46.0, "outside": 34.3}
    tested = finding("layer_band_contrast", None, 0.03, 11.7, tasks=["A", "B"], layers=(20, 30), data=data)
    claim = said(tested)["tasks/groups"]
    assert claim.headline == "The complex tasks hold more of their importance in layers 20–30 than the others"
    assert claim.body == "46 % against 34 % (q = 0.030)."
    untested = finding("layer_band_contrast", None, None, 11.7, tasks=["A", "B"], layers=(20, 30), data=data)
    assert said(untested).keys() == {"heads/nothing"}


def test_tasks_between_the_most_and_the_least_localised_are_named_in_their_order() -> None:
    halves = {"Recall": 110, "Math": 151, "Logic": 124, "Meaning": 158}
    found = [
        finding("concentration", task, None, 300.0, data={"compared": False, "half": half, "heads": 1024})
        for task, half in halves.items()
    ]
    other = finding("layer_gradient", "Math", 0.001, -0.8, layers=(0, 7), data={"direction": "falls", "whole": True})
    claim = said(*found, other)["tasks/spread"]
    assert claim.headline == "Recall is the most localised task, Meaning the least"
    assert claim.body.endswith("Between them lie, the most localised first, Logic and Math.")
