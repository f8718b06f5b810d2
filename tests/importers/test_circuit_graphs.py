"""Circuits: graphs as torch saved them; those in JSON, and lists of edges, are in the corpus (test_corpus.py)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from files import load, refusal, written

from reportgen.importers.common import IMPORTERS

SOURCES = ["input", "a0.h0", "a0.h1", "m0", "a1.h0", "a1.h1", "m1"]
TARGETS = ["a0.h0<q>", "a0.h1<q>", "m0", "a1.h0<q>", "a1.h1<v>", "m1", "logits"]


def graph(**changes: Any) -> dict[str, Any]:
    """A graph of two layers of two heads as EAP-IG's to_pt saves it."""
    scores = torch.triu(torch.arange(1.0, 50).reshape(7, 7) * torch.tensor([1, -1, 1, -1, 1, -1, 1]))
    whole = {
        "cfg": {"n_layers": 2, "n_heads": 2, "parallel_attn_mlp": False},
        "src_nodes": SOURCES,
        "dst_nodes": TARGETS,
        "edges_scores": scores,
        "edges_in_graph": scores > 20,
        "nodes_in_graph": torch.tensor([True, True, False, True, False, True, True]),
    }
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "graph.pt")
    return folder / "graph.pt"


def test_signed_sums_of_a_saved_graph(tmp_path: Path) -> None:
    path, scores = saved(tmp_path, graph()), graph()["edges_scores"].numpy()
    assert [i.name for i in IMPORTERS.own() if i.claims(path)] == ["circuit"]
    read = load(path)
    assert read.task_names == ("edges out of the head", "edges into the head")
    assert read.method.signed
    rows, columns = [1, 2, 4, 5], [0, 1, 3, 4]  # the places of a0.h0, a0.h1, a1.h0, a1.h1
    np.testing.assert_allclose(read.importance[0].ravel(), scores[rows].sum(axis=1))
    np.testing.assert_allclose(read.importance[1].ravel(), scores[:, columns].sum(axis=0))


def test_scores_of_nodes_come_before_those_of_edges(tmp_path: Path) -> None:
    read = load(saved(tmp_path, graph(nodes_scores=torch.arange(7.0))))
    assert read.task_names == ("graph",)
    np.testing.assert_array_equal(read.importance[0], [[1, 2], [4, 5]])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (graph(edges_scores=torch.ones(3, 3)), "edge scores of shape (3, 3) for 7 sources and 7 targets"),
        (graph(src_nodes="src_nodes"), "its nodes are no list of names"),
        (graph(src_nodes=["m0"] * 7, dst_nodes=["m0"] * 7), "no head is named in this graph"),
    ],
)
def test_a_graph_that_does_not_fit(tmp_path: Path, content: object, said: str) -> None:
    assert refusal(saved(tmp_path, content)).startswith(f"graph.pt: {said}. ")


@pytest.mark.parametrize(
    "content", ['{"nodes": 3}', '{"edges": "a"}', '{"edges": [1]}', '{"edges": {"a0.h0->m0": "x"}}']
)
def test_a_damaged_graph_is_refused(tmp_path: Path, content: str) -> None:
    assert refusal(written(tmp_path, content, "a.json")).startswith("a.json")
