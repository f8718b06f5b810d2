"""From the counts of the calibration to the tables of docs/calibration.md."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from calibration_cells import EMPTY, PLANTED, Cell
from naive import NAIVE
from published import HALVES, SHUFFLED

from reportgen.core.stats import wilson

START, END = "<!-- tables: written by benchmarks/calibration.py -->", "<!-- end of tables -->"
LEVEL = 0.05  # of false findings that a family may have


def written(page: Path, results: list[dict]) -> None:
    """Put the tables between the page's marks."""
    before, _, rest = page.read_text().partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n\n{tables(results)}\n{END}{after}")


def tables(results: list[dict]) -> str:
    """All tables as Markdown."""
    counts, tensors = defaultdict(Counter), Counter()
    for r in results:
        counts[r["what"]].update(r["counts"])
        tensors[r["what"]] += r["last"] - r["first"]
    return "\n".join(
        [
            *_empty(counts, tensors),
            *_planted(counts, tensors),
            *_naive(counts, tensors),
            *_coverage(counts, tensors),
            *_real(counts, tensors),
        ]
    )


def _share(count: float, n: int, level: float = 0.95) -> str:
    low, high = wilson(count, n, level)
    return f"{count / n:.3f} [{low:.3f}, {high:.3f}]"


def _rows(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield from ("", "| " + " | ".join(head) + " |", "|" + "---|" * len(head))
    yield from ("| " + " | ".join(row) + " |" for row in rows)
    yield ""


def _families(counts: dict[str, Counter]) -> list[str]:
    return sorted({k[6:] for c in EMPTY for k in counts[c.name] if k.startswith("fired ") and k != "fired any"})


def _empty(counts: dict[str, Counter], tensors: Counter) -> Iterator[str]:
    """Share of empty tensors with a tested finding, by family; where the claim is true of the world, in brackets."""
    yield "## Nothing planted\n\nShare of tensors with any tested finding, by family."
    cells = [c for c in EMPTY if tensors[c.name]]
    kinds = _families(counts)
    rows = [
        [
            ("*" if c.stress else "") + c.name,
            str(tensors[c.name]),
            *(_fired(counts, tensors, c, k) for k in kinds),
            f"{counts[c.name]['fired any'] / tensors[c.name]:.3f}",
        ]
        for c in cells
    ]
    yield from _rows(["world", "tensors", *(k.replace("_", " ") for k in kinds), "any"], rows)
    pooled = []
    for kind in kinds:
        held = [c for c in cells if kind not in c.there and not c.stress]
        fired, n = sum(counts[c.name][f"fired {kind}"] for c in held), sum(tensors[c.name] for c in held)
        worst = max(held, key=lambda c: wilson(counts[c.name][f"fired {kind}"], tensors[c.name], _bonferroni(held))[0])
        low = wilson(counts[worst.name][f"fired {kind}"], tensors[worst.name], _bonferroni(held))[0]
        pooled.append(
            [
                kind.replace("_", " "),
                str(n),
                _share(fired, n),
                f"{worst.name}: {low:.3f}",
                "yes" if low <= LEVEL and fired / n <= LEVEL else "**no**",
            ]
        )
    yield "Pooled over the worlds without a star, with the largest Wilson lower bound of a cell after Bonferroni."
    yield from _rows(["family", "tensors", "share [95 % Wilson]", "largest lower bound", "≤ 5 %"], pooled)
    n = sum(tensors[c.name] for c in cells if not c.stress)
    fired = sum(counts[c.name]["fired any"] for c in cells if not c.stress)
    if n:
        yield f"Any family: {_share(fired, n)} of {n} tensors."


def _bonferroni(cells: list[Cell]) -> float:
    return 1 - LEVEL / max(1, len(cells))


def _fired(counts: dict[str, Counter], tensors: Counter, cell: Cell, kind: str) -> str:
    share = counts[cell.name][f"fired {kind}"] / tensors[cell.name]
    return f"({share:.3f})" if kind in cell.there else f"{share:.3f}"


def _planted(counts: dict[str, Counter], tensors: Counter) -> Iterator[str]:
    yield "\n## Planted\n\nFound: the planted cells are given back by a finding of the kind. Precision: share of its "
    yield "findings that are; for irregular regions and blocks, the mean F1 of the cells and the share told as one."
    rows, kinds = [], _families(counts)
    for c in (c for c in PLANTED if tensors[c.name]):
        n, own = tensors[c.name], counts[c.name]
        right = (
            f"F1 {own['f1'] / n:.3f}; one {own['one'] / n:.3f}"
            if c.plant.f1
            else (f"{own['right'] / own['found']:.3f}" if own["found"] else "none found")
        )
        others = {k: own[f"fired {k}"] / n for k in kinds if k != c.plant.kind and k not in c.there}
        most = max(others, key=others.get, default=None)
        rows.append(
            [
                c.name,
                str(n),
                _share(own["hit"], n),
                right,
                "" if most is None else f"{most.replace('_', ' ')} {others[most]:.3f}",
            ]
        )
    yield from _rows(["planted", "tensors", "found [95 % Wilson]", "precision", "other family that fires most"], rows)


def _naive(counts: dict[str, Counter], tensors: Counter) -> Iterator[str]:
    yield "\n## Naive detectors on the same tensors\n\nOn empty tensors, the share on which it names anything."
    rows = []
    base = EMPTY[0].name
    for name, (kind, _) in NAIVE.items():
        for c in (
            c for c in PLANTED if tensors[c.name] and c.plant.kind == kind and "observed" not in c.plant.registers
        ):
            n, own = tensors[c.name], counts[c.name]
            rows.append(
                [
                    name,
                    c.name,
                    f"{own[f'naive hit {name}'] / n:.3f}",
                    f"{own[f'naive right {name}'] / n:.3f}",
                    f"{counts[base][f'naive {name}'] / tensors[base]:.3f}" if tensors[base] else "",
                ]
            )
    yield from _rows(["detector", "planted", "half of it found", "share of its cells that are planted", "empty"], rows)


def _coverage(counts: dict[str, Counter], tensors: Counter) -> Iterator[str]:
    yield "\n## Intervals\n\nShare of nominal 95 % intervals of a mean that hold the truth, by number of groups."
    names = [w for w in counts if w.startswith("coverage")]
    kinds = sorted({k for w in names for k in counts[w]})
    rows = [
        [
            w.removeprefix("coverage ").replace(" ", ", groups of "),
            str(500 * tensors[w]),
            *(f"{counts[w][k] / (500 * tensors[w]):.3f}" for k in kinds),
        ]
        for w in sorted(names, key=lambda w: (int(w.split()[1]), w))
    ]
    yield from _rows(["groups", "intervals", *kinds], rows)


def _real(counts: dict[str, Counter], tensors: Counter) -> Iterator[str]:
    shuffled = sorted(w for w in counts if w.startswith(SHUFFLED))
    if not shuffled and not any(w.startswith(HALVES) for w in counts):
        return
    yield "\n## Real maps\n\nRetrieval Head's maps with the heads of each layer shuffled: share with a tested region."
    rows = [
        [
            w.removeprefix(SHUFFLED),
            str(tensors[w]),
            *(_share(counts[w][f"fired {k}"], tensors[w]) for k in ("cluster", "row_segment")),
        ]
        for w in shuffled
    ]
    yield from _rows(["map", "shuffles", "cluster", "row segment"], rows)
    yield "Their replicates split in two by alternating contiguous blocks: findings of one half that the other repeats."
    rows = []
    for w in sorted(w for w in counts if w.startswith(HALVES)):
        for key in sorted(k for k in counts[w] if k.startswith("found ")):
            kind = key.removeprefix("found ")
            rows.append(
                [
                    w.removeprefix(HALVES),
                    kind.replace("_", " "),
                    f"{counts[w][f'again {kind}']:g} of {counts[w][key]:g}",
                ]
            )
    yield from _rows(["map", "kind", "repeated"], rows)
