"""Whether a study's own examples, run as its methods run them, come out as in the model's plain call on each alone.

Padding, the lengths and the number of texts that run together are no part of an example, and yet change what some
models put out for it: positions that are scaled by the longest text, experts that take so many tokens of a batch and no
more, attention that is sparse from some length on, a classifier that takes padding for the last token. A short text at
load shows none of that. Here the study's own examples, from its shortest to its longest, are run in real batches, those
at the ends also without each of two heads, by every shortcut that is taken; where numbers differ, the first of
``running.WAYS`` that agrees is how the study is run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from reportgen.errors import InputError, ran_out, reason
from reportgen.scoring.data.batches import Batch, Encoded
from reportgen.scoring.data.metrics import METRICS
from reportgen.scoring.fast_forward.capabilities import UNFIT, Shortcuts
from reportgen.scoring.fast_forward.prefix_cache import pays, shared_tokens
from reportgen.scoring.methods.common.ablation import side_by_side, without_each
from reportgen.scoring.methods.common.method import Setting
from reportgen.scoring.model.interventions import edited, only, replaced, roots
from reportgen.scoring.model.load import quiet
from reportgen.scoring.model.loaded import LoadedModel, pooled
from reportgen.scoring.model.running import WAYS, Running
from reportgen.scoring.model.state import hold, left_as_it_was
from reportgen.scoring.run.memory import free_bytes, halved

# Of max(1, |log-odds|). The same arithmetic in batches of another size differed by up to 9.1e-6 in float32
# (docs/scoring-speed.md); what padding, lengths or capacity change differs by far more
TOLERANCE = 1e-4
# Steps of the number format at the greatest logit by which sums in another order may differ, where a model's logits are
# large and its log-odds small
STEPS = 32
SPREAD = 8  # examples of unlike lengths that are run alone and in one batch: what is tried has to stay cheap
SHARE = 0.5  # of the free memory, for weights widened to float32
Cell = tuple[int, int]


@dataclass(frozen=True)
class Plain:
    """What the model's plain call puts out for one example: as it is, and without each of the tried heads.

    A row is an example's number (its log-odds; an encoder's mean state) under one of them; ``bound`` is how far another
    way of running may be from it, ``changed`` the modules that the call changes.
    """

    values: Float[Tensor, "case feature"]
    bound: float
    changed: frozenset[nn.Module]


@dataclass
class Agreement:
    """Compares ways to run a study's examples, the longest batches of ``size`` among them."""

    setting: Setting
    tasks: Sequence[Sequence[Encoded]]
    size: int
    exact: bool
    found: dict[tuple[int, bool], Plain] = field(default_factory=dict)
    changed: set[nn.Module] = field(default_factory=set)

    @property
    def heads(self) -> tuple[Cell, ...]:
        """The heads to ablate: the first, above which the whole model runs, and one in the middle, resumed there."""
        sites = self.setting.heads.sites
        middle = len(sites) // 2
        return tuple(dict.fromkeys([(0, 0), (middle, sites[middle].heads - 1)]))

    def differs(self, running: Running) -> str:
        """Say where numbers differ under a way of running; nothing where none does."""
        model = self.setting.model
        short = model.shortcuts if running.shortcuts == "all" else replace(model.shortcuts, prefixes=False)
        used = replace(model, running=running, shortcuts=Shortcuts() if running.shortcuts == "none" else short)
        setting = replace(self.setting, model=used)
        for members, places in self._batches(running):
            if len({self._plain(members[place], False).changed for place in places}) > 1:
                return f"{_named(members[-1])}: its code runs otherwise on long texts than on short ones"
            try:
                with left_as_it_was(model.model, self.changed):
                    cases = self._together(setting, used.collated(members))
            except UNFIT as error:
                if ran_out(error):
                    raise
                return f"{_named(members[-1])}: {reason(error)}"
            for place in places:
                plain = self._plain(members[place], place in (0, len(members) - 1))
                if not torch.isfinite(plain.values).all():
                    continue  # NaN is an error later, by example and layer
                far = [(case[place] - plain.values[i]).abs().max() for i, case in cases if i < len(plain.values)]
                off = float(torch.stack(far).max())
                if not off <= self._allowed(setting, members, place, plain):
                    return f"{_named(members[place])}: off by {off:.2g}"
        return ""

    def _spread(self) -> list[Encoded]:
        """Return examples from the shortest to the longest, at even steps of their order."""
        ordered = sorted((e for task in self.tasks for e in task), key=_length)
        steps = np.linspace(0, len(ordered) - 1, min(len(ordered), self.size, SPREAD)).round().astype(int)
        return [ordered[i] for i in steps]

    def _batches(self, running: Running) -> Iterator[tuple[list[Encoded], list[int]]]:
        """Yield the batches to try, with the places of the examples to compare: examples of all lengths, in one where
        the way of running lets them, else in their planned batches; and the ends of the batch of the most tokens.
        """
        planned = [[task[i] for i in part] for task in self.tasks for part in running.planned(task, self.size)]
        spread = self._spread()
        chosen = {id(e) for e in spread}
        for batch in [spread] if running.batching == "padded" else planned:
            places = [place for place, example in enumerate(batch) if id(example) in chosen]
            if places:
                yield batch, places
        largest = max(planned, key=_tokens)
        yield largest, sorted({0, len(largest) - 1})

    @torch.no_grad()
    def _together(self, setting: Setting, batch: Batch) -> list[tuple[int, Float[Tensor, "example feature"]]]:
        """Run a batch as methods and interventions do; return the number of each case and its values by example."""
        model = setting.model
        whole, record = model.recording(lambda: _read(setting, batch), batch.size)
        with model.narrowed(batch):
            cases = [(0, whole), (0, _read(setting, batch))]
        for number, (index, head) in enumerate(self.heads, start=1):
            heads = setting.heads.sites[index].heads
            copies = min(heads, side_by_side(model, batch)) if index == 0 else 1
            lost = (torch.arange(copies, device=model.device) + head) % heads
            many = batch.repeated(copies)
            edit = replaced(only(lost.repeat_interleave(batch.size), heads), 0.0, None)
            with model.narrowed(many), model.resumed(record, index, copies, {index: edit}):
                cases.append((number, _read(setting, many)[: batch.size]))
        if record is not None and model.shortcuts.prefixes and pays(batch, shared_tokens(batch)):
            wanted = np.zeros((len(setting.heads.sites), setting.heads.widest), dtype=bool)
            wanted[tuple(np.transpose(self.heads))] = True
            lost_by = without_each(replace(setting, wanted=wanted), batch, lambda _: 0.0, together=False, alike=True)
            for number, cell in enumerate(self.heads, start=1):
                change = torch.from_numpy(lost_by.values[:, *cell])[:, None]
                cases.append((number, whole - change.to(whole.device)))
        return cases

    @torch.no_grad()
    def _plain(self, example: Encoded, ablated: bool) -> Plain:
        """Call the model plainly on one example, and, if it is to be ``ablated``, without each of the tried heads."""
        key = id(example), ablated
        if key not in self.found:
            setting, values, greatest, changed = self.setting, list[Tensor](), 0.0, set[nn.Module]()
            for cell in (None, *(self.heads if ablated else ())):
                try:
                    with left_as_it_was(setting.model.model, changed), _without(setting.model, cell):
                        output = setting.model.plain(example).double()
                except UNFIT as error:
                    if ran_out(error):
                        raise
                    problem, hint = f"the model cannot be run on it alone ({reason(error)})", "Check the row's tokens"
                    raise InputError(problem, _named(example), hint) from error
                greatest = max(greatest, float(output.abs().max()))
                values.append(_value(setting, output, setting.model.collated([example]))[0])
            size = max(1.0, max(float(v.abs().max()) for v in values))
            dtype = torch.float32 if self.exact else setting.model.model.dtype
            steps = torch.finfo(dtype).eps * greatest * (STEPS * len(example.answer or (0,)) if self.exact else 1)
            self.found[key] = Plain(torch.stack(values), max(TOLERANCE * size, steps), frozenset(changed))
            self.changed |= changed
        return self.found[key]

    def _allowed(self, setting: Setting, members: Sequence[Encoded], place: int, plain: Plain) -> float:
        """Return how far from the plain call's numbers an example's may be: in a narrow format three times as far as
        the same batch in another order.
        """
        if self.exact:
            return plain.bound
        batch = setting.model.collated(members)
        with torch.no_grad(), left_as_it_was(setting.model.model, self.changed):
            one, other = _read(setting, batch), _read(setting, batch.taken(list(range(batch.size))[::-1])).flip(0)
        return max(plain.bound, 3 * float((one - other)[place].abs().max()))


def agreeing(
    model: LoadedModel, tasks: Sequence[Sequence[Encoded]], size: int, location: str
) -> tuple[LoadedModel, tuple[str, ...]]:
    """Return the model with the way of running under which the examples agree with its plain call, and what a reader
    should know of it. What its runs change of it is put back from now on after each of them.

    Raises InputError where no way agrees, naming an example.
    """
    with quiet(), _widened(model.model) as exact:
        while True:
            compared = Agreement(_setting(model), tasks, size, exact)
            try:
                for running in _ways(model):
                    difference = compared.differs(running)
                    if not difference:
                        break
                break
            except (RuntimeError, MemoryError) as error:
                size = halved(size, error, location)
    if difference:
        raise InputError(
            f"however examples are run, the model puts out other numbers than its plain call ({difference})",
            location,
            "Choose a model whose numbers for a text do not depend on how it is run",
        )
    hold(roots(model.model), compared.changed)
    chosen = replace(model, running=running)
    if running.shortcuts != "all":
        kept = Shortcuts() if running.shortcuts == "none" else replace(model.shortcuts, prefixes=False)
        chosen = replace(chosen, shortcuts=kept)
    said = f"{running.said}: run so, the shortest and the longest come out as in the model’s plain call on each alone"
    note = f"{said}, as they are and without a head, to 10⁻⁴ of the greater of 1 and their size"
    described = replace(model.described, notes=[*model.described.notes, note])
    return replace(chosen, described=described), () if running == WAYS[0] else (said,)


def _ways(model: LoadedModel) -> list[Running]:
    """Return the ways that differ for this model."""
    useless = set[str]()
    if not model.shortcuts.prefixes:
        useless.add("no prefixes")
    if model.shortcuts == Shortcuts():
        useless.add("none")
    return [way for way in WAYS if way.shortcuts not in useless]


def _setting(model: LoadedModel) -> Setting:
    """Return what examples are measured by: their log-odds; where one number is put out, which has none, that."""
    return Setting(model, METRICS["class_logit" if model.one_number else "log_odds"], "sum")


def _length(example: Encoded) -> int:
    return len(example.inputs) + len(example.decoder or ())


def _tokens(batch: Sequence[Encoded]) -> int:
    """Count what a batch takes, its padding too."""
    return len(batch) * max(map(_length, batch))


def _named(example: Encoded) -> str:
    return f"{example.row.location} (id {example.row.id!r})"


def _read(setting: Setting, batch: Batch) -> Float[Tensor, "example feature"]:
    """Run a batch: the metric of each example, or an encoder's mean states."""
    model = setting.model
    if model.kind == "encoder":
        return pooled(model, batch)
    return setting.measured(model.read(batch).double().to(batch.target.device), batch)[:, None]


def _value(setting: Setting, output: Tensor, one: Batch) -> Float[Tensor, "example feature"]:
    """Return the same of what the plain call of one example puts out."""
    if setting.model.kind == "encoder":
        return output.mean(dim=0)[None]
    return setting.measured(output.to(one.target.device), one)[:, None]


@contextmanager
def _without(model: LoadedModel, cell: Cell | None) -> Iterator[None]:
    """Run, within the context, without a head (None: with all)."""
    if cell is None:
        yield
        return
    lost = only(torch.tensor([cell[1]], device=model.device), model.heads.sites[cell[0]].heads)
    with edited(model.model, model.heads, {cell[0]: replaced(lost, 0.0, None)}):
        yield


@contextmanager
def _widened(model: nn.Module) -> Iterator[bool]:
    """Widen half-precision weights to float32 within the context, so that numbers can be compared closely; yield
    whether all are wide then. They are not where memory or a disk holds them that would not do.
    """
    held = [t for t in (*model.parameters(), *model.buffers()) if t.dtype in (torch.float16, torch.bfloat16)]
    devices = {t.device for t in held}
    free = free_bytes(devices) if held else None
    more = sum(2 * t.numel() for t in held)
    if any(d.type == "meta" for d in devices) or (free is not None and 2 * more > SHARE * free):
        yield False
        return
    before = [(t, t.dtype) for t in held]
    try:
        for tensor in held:
            tensor.data = tensor.data.float()
        yield True
    finally:
        for tensor, dtype in before:
            tensor.data = tensor.data.to(dtype)  # every number of the narrow format is one of float32's
