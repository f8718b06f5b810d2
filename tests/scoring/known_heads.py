"""The heads that matter in the designed models, and every method's scores of them."""

from typing import Any

import numpy as np
from tiny_models import setting

from reportgen.scoring.data.batches import Encoded, collate
from reportgen.scoring.methods.common.method import METHODS, ScoringMethod
from reportgen.scoring.model.loaded import LoadedModel

BY_NAME = {method.name: method for method in METHODS.own()}
PAIR = [(0, 1), (1, 2)]
COPIER = [(1, 0)]
DEAD = {"pair": [(0, 2), (1, 0), (1, 3)], "copier": [(0, 1), (0, 3), (1, 2)]}


def scored(name: str, model: LoadedModel, some: list[Encoded], **given: Any) -> np.ndarray:
    """The mean over examples of the signed scores."""
    method: ScoringMethod = BY_NAME[name]
    parameters = {**method.parameters().model_dump(), **given}
    halves = [collate(some[: len(some) // 2]), collate(some[len(some) // 2 :])]
    reference = None if method.prepare is None else method.prepare(setting(model, **parameters), halves)
    assert method.score is not None
    ready = setting(model, reference=reference, **parameters)
    if method.check is not None:
        method.check(ready)
    found: np.ndarray = method.score(ready, collate(some)).values.mean(axis=0)
    return found


def ranked(found: np.ndarray) -> list[tuple[int, int]]:
    order = np.argsort(-np.abs(found), axis=None)
    return [(int(i) // found.shape[1], int(i) % found.shape[1]) for i in order]
