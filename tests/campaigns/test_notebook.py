"""What a notebook shows, and that the example notebook runs."""

import ast
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from campaigns.campaign import Campaign
from campaigns.notebook import SHOWN
from tests.campaigns.test_loop import drive, spec

BOOK = Path(__file__).parents[2] / "campaigns" / "examples" / "quick_start.ipynb"
TINY = ["budget.rounds=1", "acquisition.samples_per_round=48", "acquisition.pool=100"]


def test_campaigns_results_and_candidates_show_themselves(tmp_path: Path) -> None:
    wanted = spec(want={"candidates": 20, "clusters": 2}, budget={"rounds": 1, "samples": 600})
    campaign = Campaign(spec=wanted, source="", folder=tmp_path / "<b>", base=tmp_path)
    assert "not started" in campaign._repr_html_()
    assert "&lt;b&gt;" in campaign._repr_html_()
    results, _ = drive(tmp_path / "<b>", wanted)
    page, card = results._repr_html_(), results.candidates()[0]._repr_html_()
    for html in (page, card, campaign._repr_html_()):
        ElementTree.fromstring(html.replace("xmlns:rdkit", "xmlns:r").replace("<br>", "<br/>"))  # every tag closed
    assert page.count("<svg") == min(SHOWN, len(results.candidates()))
    assert card.count("<svg") == 1
    assert results.candidates()[0].psmiles.replace("&", "&amp;") in page
    assert "predicted" in card
    assert "Tg &gt;= 200 degC" in campaign._repr_html_()


def test_the_example_notebook_is_executed_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = json.loads(BOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in cells)
    assert not any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    shown = json.dumps(book)
    assert "<svg" in shown
    assert "/work/" not in shown
    assert "/root" not in shown
    whole = Campaign.from_yaml
    monkeypatch.setattr(Campaign, "from_yaml", classmethod(lambda cls, path, folder=None: whole(path, folder, TINY)))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    names: dict[str, object] = {"__name__": "notebook"}
    for cell in cells:
        tree = ast.parse("".join(cell["source"]))
        last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, BOOK.name, "exec"), names)
        value = None if last is None else eval(compile(last, BOOK.name, "eval"), names)
        if hasattr(value, "_repr_html_"):
            assert value._repr_html_()
