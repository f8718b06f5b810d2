"""Control sets share no head with the found one and have its number of heads in each layer."""

from collections import Counter

import numpy as np

from reportgen.validation.controls import of_same_layers
from reportgen.validation.sets import Layer

SITES = tuple(Layer(None, i, 8) for i in range(4))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_all_sets_of_the_same_layers_where_they_are_few() -> None:
    found = frozenset({(0, 1), (2, 3)})
    made = of_same_layers(found, SITES, 399, rng())
    assert (made.distinct, made.layers, len(set(made.sets))) == (7 * 7, False, 49)
    for each in made.sets:
        assert Counter(site for site, _ in each) == {0: 1, 2: 1}
        assert not each & found
    three = of_same_layers(frozenset({(0, 1), (0, 2), (0, 4)}), SITES, 399, rng())
    assert three.distinct == len(set(three.sets)) == 10


def test_more_are_drawn_at_random_and_none_twice() -> None:
    for found in (
        frozenset((i, h) for i in range(2) for h in range(2)),
        frozenset((i, h) for i in range(4) for h in range(3)),
    ):
        made = of_same_layers(found, SITES, 100, rng())
        assert made.distinct > 100
        assert len(set(made.sets)) == len(made.sets) == 100
        wanted = Counter(site for site, _ in found)
        assert all(Counter(site for site, _ in each) == wanted and not each & found for each in made.sets)
        assert made.sets == of_same_layers(found, SITES, 100, rng()).sets, "the same seed draws the same"


def test_a_layer_of_which_too_little_is_left_has_none_and_a_whole_one_has_the_others() -> None:
    assert of_same_layers(frozenset((0, h) for h in range(5)), SITES, 399, rng()).distinct == 0
    whole = of_same_layers(frozenset((2, h) for h in range(8)), SITES, 399, rng())
    assert (whole.layers, whole.distinct) == (True, 3)
    assert [next(iter(each))[0] for each in whole.sets] == [0, 1, 3]
    enc = (*(Layer("enc", i, 8) for i in range(3)), Layer("dec", 0, 8))
    assert of_same_layers(frozenset((0, h) for h in range(8)), enc, 399, rng()).distinct == 2
