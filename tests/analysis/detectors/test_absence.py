"""Absence: a search that found nothing says so."""

from made_maps import kinds, named, noise, only

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings


def test_rows_that_touch_stay_two_findings() -> None:
    tensor = noise(4)
    tensor[0, 10, 3:10] *= 12
    tensor[0, 11, 9:16] *= 12
    findings = analyze(named(tensor))
    for finding in kinds(findings, "cluster"):
        assert finding.task != "Task 0" or finding.test is not None
    for absence in kinds(findings, "absence"):
        assert absence.data is not None
        assert absence.data["smallest_q"] > absence.data["alpha"]


def test_a_search_that_finds_nothing_says_so_and_one_that_finds_all_is_silent() -> None:
    clean = noise(0, (2, 24, 24))
    searched = Settings(detectors=("cluster", "absence"))
    (absence,) = kinds(analyze(named(clean), searched), "absence")
    assert (absence.register, absence.tasks) == ("observed", ["Task 0", "Task 1"])
    assert absence.data is not None
    assert (absence.data["searched"], absence.data["every"]) == ("cluster", True)
    clean[0, 4:10, 3:9] *= 12
    (absence,) = kinds(analyze(named(clean), searched), "absence")
    assert absence.tasks == ["Task 1"]
    clean[1, 4:10, 3:9] *= 12
    assert not kinds(analyze(named(clean), searched), "absence")
    assert not only(named(clean), "absence")
