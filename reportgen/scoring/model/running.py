"""How a model is run, so that every example's numbers are those of a run of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from reportgen.scoring.data.batches import Batching, Encoded, plan_batches

Shortcutting = Literal["all", "no prefixes", "none"]
BATCHES: dict[Batching, str] = {
    "padded": "examples of unlike lengths are padded to one",
    "equal": "only examples of one length share a batch: others would change what the model puts out for them",
    "single": "every example is run alone: others in its batch would change what the model puts out for it",
}


@dataclass(frozen=True)
class Running:
    """What a model's runs may hold: which examples share a batch (``batching``), whether copies of it run side by side,
    each without other heads (``copies``), and which ``shortcuts`` are taken (see ``fast_forward``).
    """

    batching: Batching = "padded"
    copies: bool = True
    shortcuts: Shortcutting = "all"

    def planned(self, examples: Sequence[Encoded], size: int) -> list[list[int]]:
        """Cut examples into batches of at most ``size``, as ``plan_batches`` does."""
        return plan_batches(examples, size, self.batching)

    @property
    def said(self) -> str:
        """How the model is run, in words."""
        parts = [BATCHES[self.batching]]
        if not self.copies:
            parts.append("heads are ablated one at a time: more tokens side by side would change each other")
        if self.shortcuts != "all":
            what = "shared first tokens are run again for each example" if self.shortcuts == "no prefixes" else ""
            parts.append(what or "every run is of the whole model: shortened ones put out other numbers")
        return "; ".join(parts)


SHORTCUTS: tuple[Shortcutting, ...] = ("all", "no prefixes", "none")
# In the order in which they are tried: the cheapest first
WAYS = tuple(
    replace(together, shortcuts=shortcuts)
    for together in (Running(), Running("equal"), Running("single"), Running("single", copies=False))
    for shortcuts in SHORTCUTS
)
