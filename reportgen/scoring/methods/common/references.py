"""What heads put out on the discovery half of all tasks: references to put in their place.

The first token of a text stands apart, for many heads rest their attention on it and its outputs are unlike all others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.model.interventions import Edit, captured

Outputs = dict[int, Float[Tensor, "example token head size"]]
_Key = tuple[int, str, int]  # site, task, and 0 for first tokens, 1 for others
HINT = "Give more rows, of several groups, so that each half of the tasks has some"


@torch.no_grad()
def outputs(setting: Setting, batch: Batch) -> Outputs:
    """Return what the heads of each site put out in a plain run."""
    with captured(setting.model.model, setting.heads) as seen:
        setting.model.run(batch)
    return seen


@dataclass(frozen=True)
class Means:
    """Of each site, the heads' mean outputs (head, size) at the first token and at the others."""

    first: tuple[Float[Tensor, "head size"], ...]
    others: tuple[Float[Tensor, "head size"], ...]

    def substitute(self, site: int) -> Edit:
        """Return the edit that puts the means in the place of all heads of a site."""

        def edit(z: Tensor) -> Tensor:
            by = self.others[site].expand_as(z).clone()
            by[:, 0] = self.first[site]
            return by.to(z.dtype)

        return edit


def means(setting: Setting, batches: Sequence[Batch]) -> Means:
    """Average each task's mean over the tokens at scored positions, so that tasks count alike.

    A site that is never scored at a first token (or at no other) has the other mean in its place.
    Raises InputError where there are no examples.
    """
    if not batches:
        raise InputError("no examples are left to take references from", "[tasks]", HINT)
    sums, counts = dict[_Key, Tensor](), dict[_Key, int]()
    for batch in batches:
        for site, z in outputs(setting, batch).items():
            block = setting.heads.sites[site].block
            positions = batch.gated(block, setting.positions).to(z.device)
            if not positions.any():  # of an encoder that a decoder reads, none: nothing of it is ever replaced
                positions = batch.gated(block, "all").to(z.device)
            for task in sorted({row.task for row in batch.rows}):
                mine = torch.tensor([row.task == task for row in batch.rows], device=z.device)
                for part, chosen in enumerate(_apart(positions & mine[:, None])):
                    key = (site, task, part)
                    sums[key] = sums.get(key, 0) + z[chosen].double().sum(dim=0)
                    counts[key] = counts.get(key, 0) + int(chosen.sum())
    sites = range(len(setting.heads.sites))
    return Means(*(tuple(_mean_of_tasks(sums, counts, site, part) for site in sites) for part in (0, 1)))


def _mean_of_tasks(sums: Mapping[_Key, Tensor], counts: Mapping[_Key, int], site: int, part: int) -> Tensor:
    """Average the means of those tasks that have such tokens; where none has, of the other tokens."""
    found = [total / counts[key] for key, total in sums.items() if key[0] == site and key[2] == part and counts[key]]
    return torch.stack(found).mean(dim=0) if found else _mean_of_tasks(sums, counts, site, 1 - part)


def _apart(positions: Bool[Tensor, "example token"]) -> tuple[Tensor, Tensor]:
    """Part the positions into those of a first token, and the others."""
    first = torch.zeros_like(positions)
    first[:, 0] = positions[:, 0]
    return first, positions & ~first


@dataclass(frozen=True)
class Donor:
    """A reference example: its row, and of each site the heads' outputs at the first token (head, size) and at some
    others, in their order (position, head, size).
    """

    row: Row
    first: tuple[Float[Tensor, "head size"], ...]
    others: tuple[Float[Tensor, "position head size"], ...]


def donors(setting: Setting, batches: Sequence[Batch], count: int, positions: int) -> tuple[Donor, ...]:
    """Take up to ``count`` examples, as many of each task as may be, each with up to so many ``positions``.

    Which ones is drawn with the study's seed. Raises InputError where the examples are of fewer than two groups.
    """
    chosen = _drawn(setting, [row for batch in batches for row in batch.rows], count)
    if len({row.group for row in chosen}) < 2:
        raise InputError("the examples to take references from are of fewer than two groups", "[tasks]", HINT)
    wanted, found = {(row.task, row.id) for row in chosen}, list[Donor]()
    for batch in batches:
        indices = [e for e, row in enumerate(batch.rows) if (row.task, row.id) in wanted]
        if indices:
            part = batch.taken(indices)
            seen = outputs(setting, part)
            found += [_donor(setting, part, seen, e, positions) for e in range(part.size)]
    order = {(row.task, row.id): i for i, row in enumerate(chosen)}
    return tuple(sorted(found, key=lambda donor: order[donor.row.task, donor.row.id]))


def _drawn(setting: Setting, rows: Sequence[Row], count: int) -> list[Row]:
    """Draw the first ``count`` rows of an order of their own, one of each task in turn."""
    by_task: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: setting.generator(row, "donors").random()):
        by_task.setdefault(row.task, []).append(row)
    turns = max(map(len, by_task.values()), default=0)
    return [by_task[t][i] for i in range(turns) for t in sorted(by_task) if i < len(by_task[t])][:count]


def _donor(setting: Setting, batch: Batch, seen: Outputs, example: int, count: int) -> Donor:
    row, first, others = batch.rows[example], list[Tensor](), list[Tensor]()
    for site, z in sorted(seen.items()):
        found = torch.nonzero(batch.gated(setting.heads.sites[site].block, "all")[example].to(z.device))[1:, 0]
        picked = setting.generator(row, "places").permutation(len(found))[:count]
        found = found[torch.as_tensor(picked, dtype=torch.long, device=z.device).sort().values]
        first.append(z[example, 0].clone())
        # a text of one token has no other: its only one stands in
        others.append(z[example, found].clone() if len(found) else z[example, :1].clone())
    return Donor(row, tuple(first), tuple(others))


def resampled(setting: Setting, batch: Batch, donors: Sequence[Donor], draw: int) -> Callable[[int], Edit]:
    """Make one draw: for each example a donor of another group, whose outputs stand in for its own at every token.

    The donor's first token stands for the first; for the others its positions, in order and over again, from one
    that is drawn. All heads of an example share a draw.
    Raises InputError naming a row all of whose possible donors are of its own group.
    """
    picked: list[tuple[Donor, float]] = []
    for row in batch.rows:
        fit = [donor for donor in donors if donor.row.group != row.group]
        if not fit:
            raise InputError(
                f"all reference examples are of its group {row.group!r}", f"{row.location} (id {row.id!r})", HINT
            )
        draws = setting.generator(row, f"resample {draw}")
        picked.append((fit[int(draws.integers(len(fit)))], float(draws.random())))

    def substitute(site: int) -> Edit:
        def edit(z: Tensor) -> Tensor:
            by = torch.stack([_laid_out(donor, site, start, z.shape[1]) for donor, start in picked])
            return by.repeat(z.shape[0] // len(by), 1, 1, 1)

        return edit

    return substitute


def _laid_out(donor: Donor, site: int, start: float, tokens: int) -> Float[Tensor, "token head size"]:
    others = donor.others[site]
    turn = (torch.arange(tokens - 1, device=others.device) + int(start * len(others))) % len(others)
    return torch.cat([donor.first[site][None], others[turn]])
