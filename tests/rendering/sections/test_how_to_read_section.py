"""How to read the report: what depends on the study in it."""

from dataclasses import replace

import numpy as np
from made_reports import make_scores, view_of


def test_what_is_explained_is_what_the_report_shows():
    bare, rich = view_of("how_to_read"), view_of("how_to_read", scores=make_scores(examples=8), layer_order="down")
    assert (bare["intervals"], rich["intervals"]) == (False, True)
    assert (view_of("how_to_read", layer_order="up")["top_down"], rich["top_down"]) == (False, True)
    assert (bare["signed"], bare["absent"], bare["patterns"], bare["blocks"]) == (False, False, False, [])
    scores = make_scores(("Recall",))
    holes = scores.importance.copy()
    holes[:, 0, 0] = np.nan
    assert view_of("how_to_read", scores=replace(scores, importance=holes))["absent"]
    assert view_of("how_to_read", scores=make_scores(block="enc"))["blocks"] == [("enc", "encoder")]
