"""The report's sections, in reading order: one file each, one line each in ``SECTIONS``.

``[report] sections`` selects and orders them by name.
"""

from collections.abc import Sequence

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
from reportgen.rendering.view import Section

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


def chosen(names: Sequence[str] | None) -> tuple[Section, ...]:
    """All sections, or those named, in the order named; raises InputError for a name that is none."""
    if names is None:
        return SECTIONS
    known = {section.name: section for section in SECTIONS}
    for name in names:
        if name not in known:
            raise InputError(f"no section is called {name!r}", "[report] sections", nearest(name, list(known)))
    return tuple(known[name] for name in dict.fromkeys(names))
