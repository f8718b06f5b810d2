"""What others take from a report: heads, citations, captions, metadata, a notebook's view."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from made_archives import build, make_scores
from transformers import AutoConfig, AutoModelForCausalLM

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_the_documented_hooks_take_out_the_heads_of_a_report(paged: Path) -> None:
    """The code of docs/heads-json.md as it stands there, against the same heads' columns of the weights set to zero."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "heads-json.md").read_text(), flags=re.S)
    sizes = {"hidden_size": 40, "num_hidden_layers": 8, "num_attention_heads": 10, "intermediate_size": 24}
    config = AutoConfig.for_model("llama", vocab_size=30, head_dim=4, **sizes)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    inputs = {"input_ids": torch.arange(6)[None]}
    space: dict[str, Any] = {"model": model, "inputs": inputs}
    with torch.no_grad():
        before = model(**inputs).logits
        for code in blocks[:3]:
            exec(code.replace("report/heads.json", str(paged / "heads.json")), space)
        assert torch.equal(model(**inputs).logits, before)  # the hooks are gone
        assert not torch.allclose(space["logits"], before)
        for layer, head in space["top"]:
            model.model.layers[layer].self_attn.o_proj.weight[:, 4 * head : 4 * head + 4] = 0
        assert torch.allclose(model(**inputs).logits, space["logits"], atol=1e-6)
    assert len(space["top"]) == 10
    assert space["heads_of"]("L2H1", "dec.L14H7") == [(2, 1), (14, 7)]
    assert any(len(heads) > 1 for name, heads in space["found"].items() if name.startswith("cluster/"))


def test_captions_and_citation_are_latex_that_names_every_figure(paged: Path) -> None:
    text = (paged / "figures" / "captions.tex").read_text()
    named = re.findall(r"\\def\\csname reportcaption:([\w-]+)\\endcsname\{", text)
    assert sorted(named) == sorted(p.stem for p in (paged / "figures").glob("*.svg"))
    for line in text.splitlines()[3:]:
        assert line.count("{") == line.count("}")
        assert not re.search(r"(?<!\\)[%#&_]", line.partition("{")[2])
    bib = (paged / "report.bib").read_text()
    assert re.match(
        r"@misc\{reportgen-[0-9a-f]{12},\n  title = \{\{A study of heads\}\},\n  author = \{Ada Author\}", bib
    )
    assert bib in (paged / "cite.txt").read_text()


def test_the_page_carries_schema_org_metadata(tmp_path: Path) -> None:
    scores = make_scores(tasks=("</script><script>alert(1)", "Logic"))
    page = build(tmp_path / "study", scores, tmp_path / "out", formats=("html",)).html.read_text()
    (found,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page, flags=re.S)
    told = json.loads(found)
    assert (told["@type"], told["name"], told["datePublished"]) == ("Dataset", "A study of heads", "2023-11-14")
    assert told["creator"] == [{"@type": "Person", "name": "Ada Author"}]
    assert told["variableMeasured"] == ["</script><script>alert(1)", "Logic"]


def test_a_notebook_shows_findings_and_links(tmp_path: Path) -> None:
    built = build(tmp_path / "study", make_scores(tasks=("<b>", "Logic")), tmp_path / "out", formats=("html",))
    shown = built._repr_html_()
    assert shown.count("<li>") == len(built.claims.claims) > 3
    assert f'<a href="{built.html}">report.html</a>' in shown
    assert "report.pdf" not in shown
    assert "<b>:" not in shown.replace("<b>Attention-head report</b>:", "")
