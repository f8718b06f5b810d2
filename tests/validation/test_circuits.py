"""Circuits whose truth is known: verdict, specificity and core are right in every cell."""

import pytest
from circuits import KINDS

from reportgen.validation.derive import derive


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_verdict_specificity_and_core_are_the_circuits(kind: str, seed: int) -> None:
    case = KINDS[kind](seed)
    (trial,) = derive(case.circuit.raw(case.circuit.found(case.heads))).trials
    assert (trial.verdict, trial.specific, {*trial.core}) == (case.verdict, case.specific, {*case.core}), trial
