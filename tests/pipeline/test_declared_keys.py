"""Keys of study.toml that only the analysis reads: changing them makes findings again, and no scores."""

from pathlib import Path

import numpy as np
import pytest
from directory_stages import obtain_findings, obtain_scores

from reportgen.core.findings import Findings
from reportgen.errors import InputError
from reportgen.pipeline.source import open_source

ROWS = [
    "task,layer,head,importance",
    *(
        f"{t},{i},{j},{1.0028 if (t, i, j) == ('b', 2, 3) else 0.5 + i / 99 + j / 99}"
        for t in "abc"
        for i, j in np.ndindex(4, 4)
    ),
]


def findings(folder: Path, study: str) -> Findings:
    (folder / "scores.csv").write_text("\n".join(ROWS))
    (folder / "study.toml").write_text(study)
    source = open_source(folder, {})
    scores = obtain_scores(source, folder / "out")
    return obtain_findings(scores, source, folder / "out")


def test_bounds_groups_and_control_reach_the_analysis(tmp_path: Path) -> None:
    plain = findings(tmp_path, '[scores]\npath = "scores.csv"\n')
    assert not {"out_of_range", "layer_band_contrast"} & {f.kind for f in plain.findings}
    written = (tmp_path / "out" / "scores.safetensors").stat().st_mtime_ns
    told = findings(
        tmp_path,
        '[scores]\npath = "scores.csv"\nbounds = [0, 1]\n[tasks]\ngroups = { one = ["a"] }\ncontrol = "c"\n',
    )
    assert (tmp_path / "out" / "scores.safetensors").stat().st_mtime_ns == written
    assert told.by_kind("out_of_range")[0].members == ["L2H3"]
    assert told.by_kind("layer_band_contrast")[0].tasks == ["a", "b"]


ALLOWED = "Change the value; `reportgen schema study` shows what is allowed."


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ("[1, 0]", "[scores]: bounds are [smallest, largest] (got {'path': 'scores.csv', 'bounds': [1, 0]})"),
        ("[0, nan]", "[scores] bounds.1: Input should be a finite number (got nan)"),
    ],
)
def test_bounds_that_are_none(tmp_path: Path, bounds: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        findings(tmp_path, f'[scores]\npath = "scores.csv"\nbounds = {bounds}\n')
    assert str(caught.value) == f"{tmp_path / 'study.toml'}: {message}. {ALLOWED}"


def test_a_control_task_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        findings(tmp_path, '[scores]\npath = "scores.csv"\n[tasks]\ncontrol = "d"\n')
    assert str(caught.value) == "[tasks] control: no task is called 'd'. The tasks are: a, b, c."
