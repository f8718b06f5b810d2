"""Which heads rest their attention on the first token: attention sinks, whose knock-out disturbs any text."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from statistics import fmean

import torch

from reportgen.errors import InputError
from reportgen.scoring.methods.common.attention_patterns import observed
from reportgen.scoring.model.attention import AttentionCall
from reportgen.validation.prepare import Setup

ROWS = 8  # discovery rows a task: a head's share of attention on the first token hardly differs between texts


def on_first_token(setup: Setup, rows: Sequence[Sequence[int]], names: Collection[str]) -> dict[str, float]:
    """Return the mean share of its attention that each head of these names pays to a text's first token from the one
    that predicts the answer, on a task's first ``rows``; none of a model that is not causal or hides its attention.
    """
    if setup.prepared.model.kind != "causal":
        return {}
    found = defaultdict[str, list[float]](list)
    for task, some in zip(setup.tasks, rows, strict=True):
        encoded = [task.encoded[i] for i in some[:ROWS]]
        for members, batch in setup.batches(encoded):
            ends = [encoded[m].positions[0] if encoded[m].positions else len(encoded[m].inputs) - 1 for m in members]

            def read(site: int, call: AttentionCall, ends: Sequence[int] = ends) -> None:
                for row, end in enumerate(ends):
                    shares = call.taken(row).rows(torch.tensor([[end]]))[0, :, 0, 0].double().tolist()
                    for head, share in enumerate(shares if end else []):
                        found[setup.index.name((site, head))].append(share)

            try:
                observed(setup.setting, batch, read, answer=False)
            except InputError:  # a kernel of its own keeps its weights to itself
                return {}
    return {name: round(fmean(found[name]), 3) for name in sorted(names) if found[name]}
