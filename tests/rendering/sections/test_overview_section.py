"""The overview of all heatmaps."""

from made_reports import make_scores, sections, view_of


def test_the_shared_overview_says_what_its_colours_cannot_say(report):
    overview = sections(report)["overview"]
    assert "Brightness is not comparable between tasks" in overview
    assert "100 being the largest" in overview
    assert (report / "figures" / "percentiles.svg").exists()


def test_there_are_maps_of_each_block_under_its_name():
    ((name, drawings),) = view_of("overview")["groups"]
    assert (name, [d.name for d in drawings]) == ("", ["overview", "percentiles"])
    ((name, drawings),) = view_of("overview", scores=make_scores(block="enc"))["groups"]
    assert (name, len(drawings)) == ("Encoder", 2)
