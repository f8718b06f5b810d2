"""Every architecture that transformers can build, against its expected class and an independent check of its heads."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from architectures import LONG, CannotBuildError, architectures, classified, classifying, run, tiny, verdict
from tiny_models import setting
from torch import Tensor
from torch.overrides import TorchFunctionMode

from reportgen.core.scores import Model
from reportgen.scoring.data.batches import Encoded, collate
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.fast_forward.capabilities import Shortcuts, shortcuts
from reportgen.scoring.methods import zero_ablation
from reportgen.scoring.model.checks import unmoved
from reportgen.scoring.model.heads import Heads, find
from reportgen.scoring.model.loaded import LoadedModel
from reportgen.scoring.model.trace import short_inputs

pytestmark = pytest.mark.slow

HEADS = Path(__file__).parents[2] / "docs" / "heads.md"
BARE = "verified without its tokenizer"
EXPECTED: dict[str, dict[str, str]] = json.loads((Path(__file__).parent / "architectures.json").read_text())


class HeadLost(TorchFunctionMode):
    """In the ``nth`` attention of a forward, head 1 puts out nothing. Counts the attentions."""

    def __init__(self, nth: int, heads: set[int]) -> None:
        super().__init__()
        self.nth, self.heads, self.count = nth, heads, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        softmax = func in (F.softmax, torch.softmax, Tensor.softmax) and result.ndim >= 3
        if func is F.scaled_dot_product_attention or softmax:
            axis = next((a for a in range(1, result.ndim - 1) if result.shape[a] in self.heads), None)
            if result.ndim == 3 and result.shape[0] // 2 in self.heads:
                result, axis = result.reshape(2, -1, *result.shape[1:]), 1
            if axis is not None:
                if self.count == self.nth:
                    result = result.index_fill(axis, torch.tensor([1]), 0.0)
                self.count += 1
            if softmax and args[0].ndim == 3:
                result = result.reshape(args[0].shape)
        return result


def projected(model: Any, heads: Heads, mode: HeadLost) -> list[Tensor]:
    """The input of every site's projection in one forward."""
    seen: dict[tuple[str, int], Tensor] = {}
    calls: dict[str, int] = {}

    def hook(name: str) -> Any:
        def keep(_: Any, inputs: Any) -> None:
            seen[name, calls.get(name, 0)] = inputs[0].detach().clone()
            calls[name] = calls.get(name, 0) + 1

        return keep

    modules = {site.name: site.projection for site in heads.sites}
    handles = [module.register_forward_pre_hook(hook(name)) for name, module in modules.items()]
    with torch.no_grad(), mode:
        model(**short_inputs(model))
    for handle in handles:
        handle.remove()
    return [seen[site.name, site.call] for site in heads.sites]


def check_order(model: Any, heads: Heads) -> None:
    """Without head 1 of an attention, slice 1 of the next projection's input changes, and no other slice of it."""
    sizes, counter = {site.heads for site in heads.sites}, HeadLost(-1, {site.heads for site in heads.sites})
    whole, reached = projected(model, heads, counter), set[int]()
    for nth in range(counter.count):
        without = projected(model, heads, HeadLost(nth, sizes))
        changed = [i for i, (a, b) in enumerate(zip(whole, without, strict=True)) if not torch.equal(a, b)]
        if not changed:
            continue  # what this attention makes is not read
        site = heads.sites[changed[0]]
        difference = (whole[changed[0]] - without[changed[0]]).unflatten(-1, (site.heads, site.size))
        slices = difference.abs().amax(dim=(*range(difference.ndim - 2), difference.ndim - 1))
        assert slices.nonzero()[:, 0].tolist() == [1], f"{site.name}: {slices}"
        reached.add(changed[0])
    assert reached == set(range(len(heads.sites))), "every site's attention is seen"


def check_sizes(model: Any, heads: Heads) -> None:
    """Heads of the configuration, and the projection's own width."""
    config = model.config.get_text_config(decoder=True)
    for site in heads.sites:
        weight: Any = site.projection.weight
        width = weight.shape[0] if type(site.projection).__name__ == "Conv1D" else weight.shape[1]
        assert site.heads * site.size == width, site.name
        if isinstance(said := getattr(site.projection, "in_features", None), int):
            assert said == width
        assert site.layer < heads.depth[site.block]
        assert site.kv_heads is None or site.heads % site.kv_heads == 0
    if model.config.model_type not in OTHER_COUNTS:
        said = getattr(config, "num_attention_heads", None)
        assert said is None or {site.heads for site in heads.sites} == {said}


# the configuration's own number is another block's, or holds for some layers only
OTHER_COUNTS = {"inkling_text", "dots3_note_text", "whisper"}


def test_the_list_of_architectures_is_complete() -> None:
    assert list(EXPECTED) == [f"{kind}/{name}" for kind, name in architectures()]
    classes = [verdict(columns).partition(":")[0] for columns in EXPECTED.values()]
    assert set(classes) == {"verified", BARE, "untestable", "refused", "cannot be built"}
    assert classes.count("verified") >= 206
    assert classes.count("verified") + classes.count("untestable") >= 225


def test_the_page_on_heads_counts_them() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in HEADS.read_text().splitlines()]
    for kind, written in [("causal", "causal"), ("masked", "masked"), ("seq2seq", "sequence-to-sequence")]:
        said = [verdict(of).partition(":")[0] for name, of in EXPECTED.items() if name.startswith(f"{kind}/")]
        counts = [str(said.count(c)) for c in ("verified", BARE, "untestable", "refused", "cannot be built")]
        assert [written, *counts] in rows


def check_shortcuts(model: Any, kind: Any, heads: Heads) -> None:
    """Ablation by whatever shortcuts are found against whole runs, on texts of unlike lengths side by side."""
    found = shortcuts(model, kind, heads)
    some = [short_text(kind, tokens, answer) for tokens, answer in ((5, (7,)), (8, (3, 9)), (3, (11,)))]
    batch, given = collate(some), {"heads_at_once": 3}
    one, other = (
        zero_ablation.METHOD.score(setting(LoadedModel(model, None, kind, heads, used, None, Model()), **given), batch)
        for used in (found, Shortcuts())
    )
    scale = max(1.0, float(np.nanmax(np.abs(other.values))))
    np.testing.assert_allclose(one.values, other.values, rtol=0, atol=1e-5 * scale)


def short_text(kind: str, tokens: int, answer: tuple[int, ...]) -> Encoded:
    inputs = tuple((5 * i + tokens) % 50 + 3 for i in range(tokens))
    last = tokens - len(answer)
    decoder = tuple((7 * i + tokens) % 50 + 3 for i in range(3)) if kind == "seq2seq" else None
    first = last if decoder is None else len(decoder) - len(answer)
    places = tuple(range(first, first + len(answer)))
    return Encoded(Row("t", "", "", f"{tokens}", "", ""), inputs, last, answer, places, decoder=decoder)


MOST = (
    12  # layers whose long texts are run here too; four types that are not to be had smaller take 10 s each: the census
)


@pytest.mark.parametrize("name", [n for n, of in EXPECTED.items() if not of["heads"].startswith("cannot be built")])
@pytest.mark.filterwarnings("ignore")  # each family warns of its own odd defaults
def test_architecture(name: str) -> None:
    model = tiny(*name.split("/"))
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
    said, heads = classified(model)
    assert said == EXPECTED[name]["heads"]
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()) == hooks
    if heads is not None:
        check_sizes(model, heads)
        check_order(model, heads)
        kind: Any = name.split("/")[0]
        assert unmoved(model, kind, heads) == []
        check_shortcuts(model, kind, heads)
        if len(heads.sites) <= MOST:
            assert run(kind, tiny(*name.split("/")), LONG) == EXPECTED[name]["long"]


@pytest.mark.parametrize("name", sorted({n.split("/")[1] for n, of in EXPECTED.items() if "classifier" in of}))
@pytest.mark.filterwarnings("ignore")
def test_classifier(name: str) -> None:
    expected = {of["classifier"] for n, of in EXPECTED.items() if n.split("/")[1] == name and "classifier" in of}
    assert {classifying(name)["classifier"]} == expected


@pytest.mark.parametrize("name", [n for n, of in EXPECTED.items() if of["heads"].startswith("cannot be built")])
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_built_is_still_not_buildable(name: str) -> None:
    with pytest.raises(CannotBuildError):
        tiny(*name.split("/"))


def test_finding_leaves_the_model_as_it_was() -> None:
    model = tiny("causal", "llama").train()
    wanted = [p.requires_grad for p in model.parameters()]
    assert all(wanted)
    assert find(model) == find(model)
    assert model.training
    assert [p.requires_grad for p in model.parameters()] == wanted
    assert all(p.grad is None for p in model.parameters())
