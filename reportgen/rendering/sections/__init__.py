"""The report's sections, in reading order: one file each, one line each in ``SECTIONS``.

``[report] sections`` selects and orders them by name; those of other packages stand after ours.
"""

from collections.abc import Sequence

from reportgen.core.plugins import Loaded, loaded
from reportgen.errors import InputError, nearest
from reportgen.rendering.sections import (
    across_tasks,
    agreement,
    anomalies,
    how_to_read,
    interpretation,
    key_observations,
    limits,
    methods,
    overview,
    provenance,
    reliability,
    summary,
    tables,
    tasks,
    validation,
)
from reportgen.rendering.sections.common import Section

SECTIONS: tuple[Section, ...] = (
    summary.SECTION,
    key_observations.SECTION,
    overview.SECTION,
    how_to_read.SECTION,
    tasks.SECTION,
    across_tasks.SECTION,
    anomalies.SECTION,
    agreement.SECTION,
    validation.SECTION,
    reliability.SECTION,
    interpretation.SECTION,
    methods.SECTION,
    limits.SECTION,
    provenance.SECTION,
    tables.SECTION,
)


GROUP = "reportgen.sections"
TAKEN = ("content",)  # an anchor of the page


def third_party() -> tuple[Loaded[Section], ...]:
    """Sections of other packages."""
    return loaded(GROUP, Section, lambda s: s.name, [*(s.name for s in SECTIONS), *TAKEN])


def chosen(names: Sequence[str] | None) -> tuple[Section, ...]:
    """All sections, or those named, in the order named; raises InputError for a name that is none.

    A section of another package that cannot be used is passed over; ``third_party`` says why.
    """
    others = third_party()
    usable = (*SECTIONS, *(each.record for each in others if each.record is not None))
    if names is None:
        return usable
    known = {section.name: section for section in usable}
    for name in names:
        if name not in {*known, *(each.plugin.name for each in others)}:
            raise InputError(f"no section is called {name!r}", "[report] sections", nearest(name, list(known)))
    return tuple(known[name] for name in dict.fromkeys(names) if name in known)
