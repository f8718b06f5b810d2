"""Move the fragments of changelog.d into CHANGELOG.md: ``python tools/collect_changelog.py VERSION``.

What stands under [Unreleased] and all fragments become the section of that version, dated today.
"""

import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADINGS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
UNRELEASED = "## [Unreleased]\n"


def fragments(folder: Path) -> dict[str, list[Path]]:
    """Return the fragments by heading; raise ValueError for a file that is none."""
    found: dict[str, list[Path]] = {heading: [] for heading in HEADINGS}
    for path in sorted(p for p in folder.iterdir() if p.name != "README.md"):
        heading = path.stem.rpartition(".")[2].capitalize()
        if path.suffix != ".md" or "." not in path.stem or heading not in found:
            raise ValueError(f"{path.name}: not called <short-name>.<{'|'.join(HEADINGS).lower()}>.md")
        found[heading].append(path)
    return found


def item(text: str) -> str:
    """Return a fragment as an item of a list."""
    return "- " + text.strip().replace("\n", "\n  ") + "\n"


def collected(changelog: str, items: dict[str, list[str]], title: str) -> str:
    """Return the changelog with its unreleased items and those given under ``title``."""
    before, _, rest = changelog.partition(UNRELEASED)
    unreleased, mark, older = rest.partition("\n## [")
    sections: dict[str, str] = {}
    for part in unreleased.split("\n### ")[1:]:
        heading, _, body = part.partition("\n")
        sections[heading] = body.strip() + "\n"
    for heading, texts in items.items():
        sections[heading] = sections.get(heading, "") + "".join(map(item, texts))
    order = [*HEADINGS, *(h for h in sections if h not in HEADINGS)]
    body = "".join(f"\n### {h}\n{sections[h]}" for h in order if sections.get(h))
    return f"{before}{UNRELEASED}\n## {title}\n{body}{mark}{older}"


def main(version: str) -> None:
    """Write CHANGELOG.md and remove the fragments."""
    changelog, found = ROOT / "CHANGELOG.md", fragments(ROOT / "changelog.d")
    items = {heading: [p.read_text(encoding="utf-8") for p in paths] for heading, paths in found.items()}
    title = f"[{version}] - {date.today().isoformat()}"
    changelog.write_text(collected(changelog.read_text(encoding="utf-8"), items, title), encoding="utf-8")
    for path in (p for paths in found.values() for p in paths):
        path.unlink()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python tools/collect_changelog.py VERSION")
    main(sys.argv[1])
