"""A page whose script, style and images are files beside it, for hosts that forbid them within a page."""

import hashlib
import json
import re
from base64 import b64decode

PAGE = "report.html"
CSP_BESIDE = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; img-src 'self'; style-src 'self'; script-src 'self'"
)
_DATA = re.compile(r'(?<=xlink:href=")data:image/png;base64,([^"]+)(?=")')  # quotes within text are escaped


def beside(folder: str, page: str, *, css: str, script: str, data: str, catalogue: str) -> dict[str, str | bytes]:
    """Return the files in ``folder`` by their names, the page last, so that where it stands all stands.

    ``page`` names style, scripts and catalogue already; its images become files named by their content, so that one
    that stands twice is written once. ``data`` and ``catalogue`` are JSON. A page opened from a file may not read the
    pixels of other files: for saving figures, the data hold the images a second time.
    """
    files: dict[str, str | bytes] = {}
    images: dict[str, str] = {}

    def moved(image: re.Match[str]) -> str:
        content = b64decode(image[1])
        name = f"{folder}/{hashlib.sha256(content).hexdigest()[:16]}.png"
        files[name], images[name] = content, image[0]
        return name

    page = _DATA.sub(moved, page)
    files[f"{folder}/report.css"], files[f"{folder}/heatmap.js"] = css, script
    script_of_data = f"window.reportData = {data};\nwindow.reportData.images = {json.dumps(images)};\n"
    files[f"{folder}/report-data.js"] = script_of_data
    files[f"{folder}/catalogue.jsonld"] = f"{catalogue}\n"
    return files | {PAGE: page}
