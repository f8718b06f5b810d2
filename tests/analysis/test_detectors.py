"""What holds for all detectors: on the sample figure, on clean tensors, on small and odd ones."""

import make_scores
import numpy as np
import pytest
from layout import BACKGROUNDS, missing
from made_maps import kinds, named, noise

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import DETECTORS, Settings
from reportgen.core.scores import HeadScores
from reportgen.errors import InputError
from reportgen.importers import load_scores

SAMPLE = make_scores.HERE / "scores.csv"


def test_the_sample_figure_gives_back_every_planted_item() -> None:
    assert missing(analyze(load_scores(SAMPLE))) == []


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_the_layout_is_found_on_other_backgrounds(background: str) -> None:
    tensor = make_scores.importance(11, BACKGROUNDS[background])
    lost = missing(analyze(HeadScores.from_array(tensor, list(make_scores.REGIONS))))
    # heavy tails swallow a row or the faint diagonal now and then, and layers that lie far apart the sparse ones
    assert len(lost) <= (3 if background == "lognormal 0.8" else 2), lost


@pytest.mark.slow
def test_clean_tensors_carry_few_tested_findings() -> None:
    fired = [{f.kind for f in analyze(named(noise(seed))).findings if f.register == "tested"} for seed in range(25)]
    for kind in set.union(*fired):
        # at a true rate of 5 %, five or more of 25 happen in under 1 % of runs
        assert sum(kind in f for f in fired) <= 4, kind


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 32), (1, 4, 4), (2, 32, 1), (3, 12, 12)])
def test_small_and_constant_maps_are_legal_and_almost_silent(shape: tuple[int, int, int]) -> None:
    findings = analyze(named(np.ones(shape)))
    assert not [f for f in findings.findings if f.register == "tested"]
    assert kinds(findings, "competence")


def test_absent_heads_are_left_out() -> None:
    tensor = noise(10, (3, 16, 16))
    tensor[:, 5, 8:] = np.nan
    tensor[1, 8:12, 2:6] *= 10
    findings = analyze(named(tensor))
    for finding in findings.findings:
        assert not (finding.mask((16, 16)) & np.isnan(tensor[0])).any()
    assert kinds(findings, "cluster")


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(InputError, match="no detector is called 'clusters'"):
        analyze(named(noise(0)), Settings(detectors=("clusters",)))


def test_every_detector_documents_when_it_is_silent() -> None:
    for detector in DETECTORS.own():
        assert "Silent" in detector.doc, detector.name


def test_the_same_scores_give_the_same_findings() -> None:
    scores = named(noise(12))
    assert analyze(scores) == analyze(scores)
