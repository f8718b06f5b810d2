"""Controls are matched, distinct, and touch nothing that was found."""

from collections import Counter

import numpy as np
import pytest
from tiny_models import loaded

from reportgen.scoring.model.heads import Heads
from reportgen.validation.controls import matched, whole_layer
from reportgen.validation.statistics import FEWEST


@pytest.fixture(scope="module")
def sites() -> Heads:
    return loaded("llama", num_hidden_layers=4, num_attention_heads=8, hidden_size=32).heads


def norms(sites: Heads) -> dict[tuple[int, int], float]:
    return {(i, h): 1.0 + 0.1 * h + i for i, site in enumerate(sites.sites) for h in range(site.heads)}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_all_sets_of_the_same_layers_where_they_are_few(sites: Heads) -> None:
    found, taken = frozenset({(0, 1), (2, 3)}), frozenset({(0, 1), (2, 3), (2, 4)})
    made = matched(found, taken, sites, norms(sites), 42, rng())
    assert (made.distinct, made.widened, len(set(made.sets))) == (7 * 6, 0, 42)
    for each in made.sets:
        assert Counter(site for site, _ in each) == {0: 1, 2: 1}
        assert not each & taken


def test_the_likest_in_norm_come_first(sites: Heads) -> None:
    found = frozenset({(1, 3), (1, 4), (3, 0)})
    made = matched(found, found, sites, norms(sites), 30, rng())
    total = [sum(norms(sites)[place] for place in each) for each in made.sets]
    own = sum(norms(sites)[place] for place in found)
    assert made.norm is not None
    assert made.norm == (min(total) / own, pytest.approx(float(np.median(total)) / own), max(total) / own)
    assert max(abs(np.log(np.array(total) / own))) < 0.05


def test_neighbouring_layers_join_where_a_layer_has_too_few_left(sites: Heads) -> None:
    found = frozenset({(0, 0)})
    made = matched(found, found, sites, norms(sites), 199, rng())
    assert (made.distinct, made.widened) == (7 + 8 + 8, 2)
    assert [next(iter(each))[0] for each in made.sets[:7]] == [0] * 7, "those of its own layer come first"
    taken = frozenset((site, head) for site in (0, 1, 2) for head in range(8) if (site, head) != (0, 7))
    made = matched(found, taken, sites, norms(sites), 199, rng())
    assert made.distinct == 1 < FEWEST


def test_many_sets_are_drawn_and_distinct(sites: Heads) -> None:
    found = frozenset({(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (3, 0)})
    made = matched(found, found, sites, norms(sites), 400, rng())
    assert len(set(made.sets)) == len(made.sets) == 400
    assert all(Counter(site for site, _ in each) == {0: 2, 1: 2, 2: 1, 3: 1} for each in made.sets)
    assert not any(each & found for each in made.sets)
    assert made.sets == matched(found, found, sites, norms(sites), 400, rng()).sets, "the same seed draws the same"


def test_a_whole_layer_is_seen(sites: Heads) -> None:
    assert whole_layer(frozenset((2, head) for head in range(8)), sites) == 2
    assert whole_layer(frozenset((2, head) for head in range(7)), sites) is None
