"""What the documents say is true: their blocks run, are valid, or are taken by the command line."""

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from campaigns.campaign import Campaign
from campaigns.cli import app
from inverse_design.spec import CampaignSpec

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    "README.md",
    "SECURITY.md",
    "CHANGELOG.md",
    *(f"{folder}/README.md" for folder in ("inverse_design", "generators", "surrogates", "campaigns", "tests")),
]
BLOCK = re.compile(r"(?P<mark><!-- executed -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
TINY = ["budget.rounds=1", "acquisition.samples_per_round=32", "acquisition.pool=100"]
LOCAL = ["--executor", "local", "--workers", "1"]
LEAST: dict[str, Any] = {"schema": 1, "name": "x", "targets": [{"property": "Tg", "min": 100}]}


def blocks(document: str, kind: str) -> list[tuple[str, bool]]:
    found = BLOCK.finditer((ROOT / document).read_text(encoding="utf-8"))
    return [(one["text"], bool(one["mark"])) for one in found if one["kind"] == kind]


def commands(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        for part in line.partition("#")[0].split("&&"):
            words = shlex.split(part)
            if words and words[0] == "inverse-design":
                yield words[1:]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_kind_of_block_is_one_that_is_tested(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert {one["kind"] for one in BLOCK.finditer(text)} <= {"python", "bash", "yaml", "text"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_yaml_blocks_are_specs_or_parts_of_one(document: str) -> None:
    for text, _ in blocks(document, "yaml"):
        CampaignSpec.model_validate(LEAST | YAML(typ="safe").load(text))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_are_taken_by_the_command_line(document: str) -> None:
    group = typer.main.get_command(app)
    for text, _ in blocks(document, "bash"):
        for words in commands(text):
            with group.make_context("inverse-design", list(words)) as context:
                name, command, rest = group.resolve_command(context, words)  # type: ignore[attr-defined]
                command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name != "campaigns/README.md"])
def test_python_blocks_run(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tiny budgets: a campaign in a document is the one it says, cut short."""
    whole, run = Campaign.from_yaml, Campaign.run
    tiny = classmethod(lambda cls, path, folder=None, overrides=(): whole(ROOT / path, folder, [*overrides, *TINY]))
    monkeypatch.setattr(Campaign, "from_yaml", tiny)
    monkeypatch.setattr(Campaign, "run", lambda self: run(self, workers=1, executor="local"))
    monkeypatch.chdir(tmp_path)
    for text, _ in blocks(document, "python"):
        exec(compile(text, document, "exec"), {"__name__": "document"})


def test_marked_blocks_really_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("measured.csv").write_text("SMILES;Tg (°C);note\n*CC(*)c1ccccc1;100;clear\n*CC(*)(C)C(=O)OC;<110;\n", encoding="utf-8")
    ran = []
    for text, marked in blocks("campaigns/README.md", "bash"):
        for words in commands(text) if marked else ():
            tiny = [part for change in TINY for part in ("--set", change)] + LOCAL if words[0] == "design" else []
            with suppress(SystemExit):  # a design that finds too few in one round
                app([*words, *tiny], standalone_mode=False)
            ran.append(words[0])
    assert ran == ["design", "status", "suggest", "tell", "export", "predict"]
    said = capsys.readouterr().out
    assert "1 value, 1 bound, 1 remark of 2 polymers, 2 never proposed" in said
    for text, marked in blocks("campaigns/README.md", "python"):
        assert marked
        exec(compile(text, "campaigns/README.md", "exec"), {"__name__": "document"})
    assert "bench notes: 1 rows; 1 value" in capsys.readouterr().out
    lines = Path("predicted.csv").read_text(encoding="utf-8-sig").splitlines()
    assert [line.rpartition(";ok;")[1] for line in lines[1:]] == [";ok;"] * 2


def test_the_citation_is_complete() -> None:
    found = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "title", "message", "authors", "license", "version"} <= set(found)
    assert f'version = "{found["version"]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
