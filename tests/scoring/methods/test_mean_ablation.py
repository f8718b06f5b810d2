"""Mean ablation against hooks of the test's own."""

import numpy as np
import pytest
import torch
from reference_loop import FAMILIES, HEADS, TWO, lost, metric, part, seen
from tiny_models import examples, loaded, setting

from reportgen.scoring.data.batches import collate
from reportgen.scoring.methods import mean_ablation
from reportgen.scoring.methods.common.references import means
from reportgen.scoring.model.interventions import edited

MEAN = mean_ablation.METHOD


@pytest.mark.parametrize("architecture", FAMILIES)
def test_mean_ablation_puts_in_the_mean_of_the_tasks_means(architecture: str) -> None:
    model = loaded(architecture, torch.float64)
    some = examples(model, TWO)
    discovery = [some[i] for i in (0, 1, 3, 4)]  # of task a all, of task b two of four
    given = setting(model, **MEAN.parameters().model_dump())
    reference = means(given, [collate(discovery[:3]), collate(discovery[3:])])
    assert MEAN.score is not None
    found = MEAN.score(setting(model, reference=reference, **MEAN.parameters().model_dump()), collate(some))
    for site, head in HEADS:
        cut, by_task = part(model.heads.sites[site], head), dict[str, list[torch.Tensor]]()
        for example in discovery:
            z = seen(model, example)[0][site]
            by_task.setdefault(example.row.task, []).append(z.reshape(-1, z.shape[-1])[:, cut])
        first = torch.stack([torch.stack([z[0] for z in zs]).mean(0) for zs in by_task.values()]).mean(0)
        rest = torch.stack([torch.cat([z[1:] for z in zs]).mean(0) for zs in by_task.values()]).mean(0)
        for e, example in enumerate(some):
            tokens = seen(model, example)[0][site].reshape(-1, 16).shape[0]
            by = torch.stack([first, *[rest] * (tokens - 1)])
            expected = metric(model, example) - lost(model, example, site, head, by)
            assert found.values[e, site, head] == pytest.approx(expected, abs=1e-5)
    assert np.abs(found.values).max() > 0.01


def test_a_mean_over_scored_positions_alone() -> None:
    model = loaded("llama", torch.float64)
    some = examples(model)
    reference = means(setting(model, positions="last"), [collate(some)])
    by_task: dict[str, list[torch.Tensor]] = {}
    for example in some:
        by_task.setdefault(example.row.task, []).append(seen(model, example)[0][1][0, example.positions[0]])
    expected = torch.stack([torch.stack(zs).mean(0) for zs in by_task.values()]).mean(0)
    torch.testing.assert_close(reference.others[1].flatten(), expected)
    # no example's first token is scored: the others' mean stands in
    torch.testing.assert_close(reference.first[1].flatten(), expected)


def test_means_serve_texts_of_any_length() -> None:
    model = loaded("gpt2")
    reference = means(setting(model), [collate(examples(model))])
    z = torch.randn(2, 9, 4, 4)
    put = reference.substitute(1)(z)
    torch.testing.assert_close(put[0, 0], reference.first[1].float())
    torch.testing.assert_close(put[0, 8], reference.others[1].float())
    with edited(model.model, model.heads, {1: reference.substitute(1)}):
        assert model.answer_logits(collate(examples(model))).isfinite().all()
