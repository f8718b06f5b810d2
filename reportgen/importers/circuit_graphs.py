"""Circuits: graphs of EAP-IG and MIB's circuit track (JSON, .pt) and lists of edges, as sums of signed scores a head.

A graph of nodes with scores gives each head its node's. One of edges gives two maps, a task each: what flows out of a
head and what flows in, each the sum of its edges' signed scores. Where neither has scores, heads in the graph are 1 and
others 0. Sources: Hanna, Pezzelle & Belinkov 2024, "Have Faith in Faithfulness", arXiv 2403.17806, and the circuit
track of MIB, Mueller et al. 2025, arXiv 2504.13151, whose ``graph.py`` writes the files; Conmy et al. 2023, arXiv
2304.14997 (ACDC), whose edges name hooks and an index.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from reportgen.core.blocks import Blocks
from reportgen.core.config import ScoresSection
from reportgen.core.scores import Head, Method
from reportgen.errors import InputError
from reportgen.importers.arrays import read_torch
from reportgen.importers.common import Importer, beginning, is_torch_graph, method_of
from reportgen.importers.common.head_names import parse_head
from reportgen.importers.common.rows import Rows, scores_of
from reportgen.storage.json_files import read_json

START = re.compile(r'\s*\{\s*"(cfg|graph_type|nodes|edges)"\s*:')
ARROW = re.compile(r'\s*[{\[]\s*\[*\s*"[^"]*(->|→)|\s*\[\s*\[\s*\[\s*"blocks\.')
HOOK = re.compile(r"blocks\.(\d+)\.(?:attn\.)?hook_(?:q|k|v|z|result|(?:q|k|v)_input|attn_in)")
PORT = re.compile(r"<[qkv]>$")
LAYOUT = 'Give {"cfg": …, "nodes": {"a0.h1": …}, "edges": {"a0.h1->m0": {"score": …}}} as EAP-IG writes it'
EDGES = ("edges out of the head", "edges into the head")


@dataclass
class Graph:
    """What a file holds of heads: by node, and summed over the edges out of and into them; ``there`` are all named."""

    layers: int | None = None
    heads: int | None = None
    nodes: dict[Head, float] = field(default_factory=dict)
    member: dict[Head, bool] = field(default_factory=dict)
    out: dict[Head, float] = field(default_factory=dict)
    into: dict[Head, float] = field(default_factory=dict)
    edges: int = 0

    def node(self, name: str, value: Any, path: Path) -> None:
        """Note a node: whether it is in the graph, and its score if it has one."""
        head = head_of(name)
        if head is None:
            return
        score = value.get("score") if isinstance(value, dict) else None
        self.member[head] = bool(value.get("in_graph", True) if isinstance(value, dict) else value)
        if score is not None:
            self.nodes[head] = _number(score, f"{path}, nodes, {name}")

    def edge(self, source: Head | None, target: Head | None, score: Any, location: str) -> None:
        """Add an edge's score to its ends, where these are heads."""
        if score is None:
            return
        value, self.edges = _number(score, location), self.edges + 1
        if source is not None:
            self.out[source] = self.out.get(source, 0.0) + value
        if target is not None:
            self.into[target] = self.into.get(target, 0.0) + value


def head_of(name: str, index: Any = None) -> Head | None:
    """Return the head that a node's name stands for, such as a3.h5, a3.h5<q>, or a hook with an index."""
    hook = HOOK.match(name)
    if hook is not None and isinstance(index, list) and index and isinstance(index[-1], int):
        return Head(int(hook[1]), index[-1])
    found = parse_head(PORT.sub("", name.strip()))
    return found[1] if found else None


def claims(path: Path) -> bool:
    """Return whether the file is a graph of nodes or edges, or a list of edges, in JSON or as torch saved it."""
    text = beginning(path, ".json")
    graph = START.match(text) is not None and ('"nodes"' in text or '"edges"' in text)
    return graph or ARROW.match(text) is not None or is_torch_graph(path)


def load(path: Path, section: ScoresSection) -> Blocks:
    """Read a graph as one or two tasks; raises InputError where no head of it has a score or a place."""
    graph = _of_torch(path) if path.suffix.lower() == ".pt" else _of_json(path)
    if graph.nodes:
        maps, unit, said = {path.stem: graph.nodes}, "node score", "scores of nodes"
    elif graph.edges:
        maps = dict(zip(EDGES, (graph.out, graph.into), strict=True))
        unit, said = "sum of edge scores", f"signed sums over {graph.edges:,} edges"
    elif graph.member:
        maps = {path.stem: {head: float(is_in) for head, is_in in graph.member.items()}}
        unit, said = "1 for a head in the graph, 0 for others", "a graph without scores"
    else:
        maps, unit, said = {}, "", ""
    sized = _sized(graph, section)
    heads = {head for each in maps.values() for head in each} | {*graph.member}
    if not heads:
        raise InputError("no head is named in this graph", str(path), LAYOUT)
    if not graph.nodes:  # a head of the graph without an edge sums to 0
        maps = {name: {head: each.get(head, 0.0) for head in heads} for name, each in maps.items()}
    method = method_of(section, Method("unknown", unit=unit, signed=bool(graph.nodes or graph.edges)))
    rows = list(_rows(maps))
    task, layer, head, value = zip(*rows, strict=True)
    empty = np.array([""] * len(rows), dtype=object)
    read = Rows(
        path,
        np.array(task, dtype=object),
        np.array(layer),
        np.array(head),
        np.array(value),
        empty,
        ranking=True,
        said=(said,),
    )
    return scores_of(read, sized, method)


def _rows(maps: Mapping[str, Mapping[Head, float]]) -> Iterator[tuple[str, int, int, float]]:
    for name, each in maps.items():
        for head in sorted(each):
            yield name, head.layer, head.head, each[head]


def _sized(graph: Graph, section: ScoresSection) -> ScoresSection:
    """Return the section with the model's size as the file's configuration gives it, where the study does not."""
    given = {"layers": section.layers or graph.layers, "heads": section.heads or graph.heads, "index_base": 0}
    return section.model_copy(update=given)


def _of_json(path: Path) -> Graph:
    content, graph = read_json(path), Graph()
    if isinstance(content, list):
        _edge_list(graph, content, path)
        return graph
    if not isinstance(content, dict):
        raise InputError("this is no graph", str(path), LAYOUT)
    if not {"nodes", "edges"} & content.keys():
        content = {"edges": content}
    _configure(graph, content.get("cfg"))
    nodes, edges = content.get("nodes") or {}, content.get("edges") or {}
    if isinstance(nodes, list):
        nodes = {str(n.get("id", n.get("name")) if isinstance(n, dict) else n): n for n in nodes}
    if not isinstance(nodes, dict) or not isinstance(edges, dict | list):
        raise InputError("its nodes or edges are no object", str(path), LAYOUT)
    for name, value in nodes.items():
        graph.node(str(name), value if isinstance(value, dict | bool) else True, path)
    if isinstance(edges, list):
        _edge_list(graph, edges, path)
        return graph
    for name, value in edges.items():
        source, _, target = re.sub("→", "->", str(name)).partition("->")
        score = value.get("score") if isinstance(value, dict) else value
        graph.edge(head_of(source), head_of(target), score, f"{path}, edges, {name}")
    return graph


def _edge_list(graph: Graph, edges: list[Any], path: Path) -> None:
    """Read edges as ["a0.h1->m0", score], [source, target, score], records of them, or ACDC's hooks and indices."""
    for i, edge in enumerate(edges):
        location = f"{path}, edge {i}"
        if isinstance(edge, dict):
            names = {str(key).lower(): value for key, value in edge.items()}
            source, target = (next((str(names[n]) for n in known if n in names), "") for known in (FROM, TO))
            score = next((names[n] for n in ("score", "weight", "effect", "value") if n in names), None)
            graph.edge(head_of(source), head_of(target), score, location)
        elif isinstance(edge, list) and len(edge) == 2 and isinstance(edge[0], str):
            source, _, target = edge[0].replace("→", "->").partition("->")
            graph.edge(head_of(source), head_of(target), edge[1], location)
        elif isinstance(edge, list) and len(edge) == 2 and isinstance(edge[0], list) and len(edge[0]) == 4:
            child, child_index, parent, parent_index = edge[0]  # ACDC names what reads before what is read
            graph.edge(head_of(str(parent), parent_index), head_of(str(child), child_index), edge[1], location)
        elif isinstance(edge, list) and len(edge) == 3:
            graph.edge(head_of(str(edge[0])), head_of(str(edge[1])), edge[2], location)
        else:
            raise InputError("this is no edge with a score", location, 'Give ["a0.h1->m0", score]')


FROM, TO = ("source", "src", "from", "parent", "sender"), ("target", "dst", "to", "child", "receiver")


def _configure(graph: Graph, config: Any) -> None:
    if isinstance(config, dict):
        sizes = [config.get(key) for key in ("n_layers", "n_heads")]
        graph.layers, graph.heads = (n if isinstance(n, int) and n > 0 else None for n in sizes)


def _of_torch(path: Path) -> Graph:
    content, graph = read_torch(path), Graph()
    if not isinstance(content, dict):
        raise InputError("this is no graph", str(path), LAYOUT)
    _configure(graph, content.get("cfg"))
    named = [content.get(key) for key in ("src_nodes", "dst_nodes")]
    if not all(isinstance(names, list | tuple | dict) for names in named):
        raise InputError("its nodes are no list of names", str(path), LAYOUT)
    sources, targets = ([str(name) for name in names or ()] for names in named)
    member = content.get("nodes_in_graph")
    scores = content.get("edges_scores", content.get("edges"))
    for i, name in enumerate(sources):
        of_node = content.get("nodes_scores")
        value = {"in_graph": bool(member[i]) if member is not None else True}
        graph.node(name, value | ({"score": float(of_node[i])} if of_node is not None else {}), path)
    if scores is None:
        return graph
    if tuple(scores.shape) != (len(sources), len(targets)):
        problem = f"edge scores of shape {tuple(scores.shape)} for {len(sources)} sources and {len(targets)} targets"
        raise InputError(problem, str(path), "Save the graph with its to_json, which names every edge")
    values = scores.float().numpy()
    for i, source in enumerate(sources):
        for j in np.flatnonzero(np.isfinite(values[i])).tolist():
            if values[i, j] != 0:  # a matrix has a place for pairs that are no edges, too
                graph.edge(head_of(source), head_of(targets[j]), float(values[i, j]), f"{path}, {source}")
    return graph


def _number(value: Any, location: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= np.finfo(np.float32).max:
        raise InputError(f"{str(value)[:40]} is no finite number (of 32 bits)", location, "Give finite scores")
    return float(value)


IMPORTER = Importer("circuit", "graphs of EAP-IG and MIB (JSON, .pt), and lists of edges", claims, load, order=55)
