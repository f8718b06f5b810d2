"""Numbers as they are printed."""

import pytest

from reportgen.rendering import format as fmt


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (0.00173, "0.00173"),
        (-0.00173, "−0.00173"),
        (1234.5, "1,234"),
        (9.999, "10.0"),
        (1.5e-7, "1.50 × 10⁻⁷"),
        (float("nan"), "—"),
        (None, "—"),
        (-1e-9, "−1.00 × 10⁻⁹"),
    ],
)
def test_numbers(value, text):
    assert fmt.number(value) == text


def test_intervals_limit_digits():
    assert fmt.estimate(3.1415, 1.0, 5.0) == "3.1 [1.0, 5.0]"
    assert fmt.estimate(0.00173, 0.0015, 0.002) == "0.00173 [0.00150, 0.00200]"


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "< 10⁻³⁰⁰"),
        (1e-300, "< 10⁻³⁰⁰"),
        (2e-300, "2.0 × 10⁻³⁰⁰"),
        (0.00025, "0.00025"),
        (0.007, "0.0070"),
        (0.00099975, "0.0010"),
        (0.9999, "> 0.99"),
        (1.0, "1"),
    ],
)
def test_probabilities_are_never_zero(p, text):
    assert fmt.probability(p) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0 %"), (1.0, "100 %"), (1e-6, "< 0.1 %"), (0.99999, "> 99.9 %"), (0.5, "50.0 %")]
)
def test_shares_never_round_to_a_false_end(value, text):
    assert fmt.share(value) == text
