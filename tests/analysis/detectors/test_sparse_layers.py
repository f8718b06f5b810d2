"""Layers in which few heads, or no strong head, matter."""

from made_maps import kinds, named, noise, only

from reportgen.analysis.analyze import analyze


def test_faint_layers_side_by_side_are_one_finding() -> None:
    tensor = noise(8)
    tensor[0, 3:6] *= 0.1
    findings = analyze(named(tensor))
    assert any(f.task == "Task 0" and f.layers == (3, 5) for f in kinds(findings, "sparse_layers"))


def test_layers_of_like_heads_are_not_sparse_and_a_faint_one_among_them_is() -> None:
    tensor = noise(8) ** 0.3
    assert not only(named(tensor), "sparse_layers")
    tensor[4, 20] *= 0.1
    found = only(named(tensor), "sparse_layers")
    assert {(f.register, f.task, f.layers) for f in found} == {("observed", "Task 4", (20, 20))}
