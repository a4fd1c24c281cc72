"""Recorded campaigns against the code: what they decided is decided again, and what they found is found again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from campaigns.campaign import Campaign
from campaigns.ledger import Ledger, read_resolved
from campaigns.results import Results
from inverse_design.errors import StateError
from inverse_design.loop import _decision
from inverse_design.spec import CampaignSpec
from inverse_design.state import State
from tests.campaigns.test_loop import drive
from tests.golden.record import FOLDER, SPECS, document, machine


def expected(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    return found


def same(found: Any, wanted: Any) -> bool:
    """Equal, numbers to nine digits: processors differ in the last ones."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return bool(found == (pytest.approx(wanted, rel=1e-9, abs=1e-9) if isinstance(wanted, float) else wanted))


@pytest.mark.parametrize("name", SPECS)
def test_recorded_decisions_are_decided_again(name: str) -> None:
    """A decision that changed on purpose is recorded anew: `python -m tests.golden.record`."""
    folder, wanted = FOLDER / "campaigns" / name, SPECS[name]
    state = State(wanted)
    problem = Campaign(spec=wanted, source="", folder=folder, base=folder)._problem()
    # The fit of a Gaussian process ends elsewhere on another processor, and some prompts with it.
    exact = wanted.acquisition.strategy == "elite" or expected(folder)["machine"] == machine()
    for record in Ledger.open(folder).rounds():
        decided = [",".join(map(str, prompt)) for prompt in _decision(state, problem).prompts]
        asked = [row["prompt"] for row in record.samples][:: wanted.acquisition.samples_per_prompt]
        assert decided == asked if exact else len({*decided} & {*asked}) > 0.5 * len({*asked}), record.index
        state.add(record)
    results = Results(state=state, manifest={}, source="", hours=0.0)
    assert same(document(results), {key: value for key, value in expected(folder).items() if key != "machine"})


def test_a_folder_of_format_1_opens_goes_on_and_finds_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "met"
    shutil.copytree(FOLDER / "format-1" / "met", folder)
    wanted = CampaignSpec.model_validate(read_resolved(folder))
    assert Ledger.open(folder).manifest["format_version"] == 1
    state = State(wanted)
    for record in Ledger.open(folder).rounds():
        state.add(record)
    assert same(document(Results(state=state, manifest={}, source="", hours=0.0)), expected(folder))
    (folder / "rounds" / "000004.parquet").unlink()
    drive(folder, wanted)
    assert Ledger.open(folder).manifest["format_version"] == 2
    assert [record.index for record in Ledger.open(folder).rounds()] == [*range(5)]
    old = folder / "rounds" / "000001.parquet"
    data = bytearray(old.read_bytes())
    data[len(data) // 2] ^= 1
    old.write_bytes(data)
    with pytest.raises(StateError, match=r"000001.parquet: this round is damaged"):
        list(Ledger.open(folder).rounds())
