"""Scattered heads: layers of few strong heads."""

from made_maps import kinds, named, noise, only

from reportgen.analysis.analyze import analyze


def test_scattered_heads() -> None:
    tensor = noise(7)
    tensor[4, 30, [1, 6, 12, 17, 22, 28]] = 12.0
    found = kinds(analyze(named(tensor)), "scattered_heads")
    assert [(f.task, f.layers) for f in found] == [("Task 4", (30, 30))]
    assert set(found[0].members or ()) >= {"L30H1", "L30H6", "L30H12"}


def test_a_clean_tensor_has_no_scattered_heads() -> None:
    assert not only(named(noise(7)), "scattered_heads")
