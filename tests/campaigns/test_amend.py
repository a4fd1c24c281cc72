"""A spec amended, and candidates explained, on a toy campaign in a real folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from campaigns import explain
from campaigns.campaign import Campaign
from campaigns.ledger import Ledger
from campaigns.local import LocalExecutor
from inverse_design.errors import SpecError
from inverse_design.loop import Workers, run
from inverse_design.protocols import WorkerSpec
from inverse_design.spec import CampaignSpec
from inverse_design.state import State
from tests import toy

SPEC = {
    "schema": 1,
    "name": "toy",
    "targets": [{"property": "Tg", "min": 260}],
    "acquisition": {"samples_per_round": 96, "samples_per_prompt": 4, "pool": 200},
    "want": {"candidates": 60, "clusters": 2},
    "budget": {"rounds": 2},
}


def drive(folder: Path, campaign: Campaign) -> State:
    """Go on with a campaign on toy models, whatever models its manifest names."""
    ledger = Ledger.open(folder)
    with Ledger.resume(folder, campaign.spec.as_json(), ledger.manifest) as writer:
        state = State(campaign.spec)
        for record in writer.rounds():
            state.add(record)
        sieve = WorkerSpec(factory="inverse_design.sieve:sieve_worker", arguments={"max_similarity": 0.99})
        workers = Workers(generator=toy.GENERATOR, sieve=sieve, surrogates=toy.SURROGATES)
        run(state, campaign._problem(), workers, LocalExecutor(1), writer, lambda state, seconds: None)
    return state


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = CampaignSpec.model_validate(SPEC)
    folder = tmp_path_factory.mktemp("amend") / "run"
    manifest = {"spec": spec.identity(), "seed": spec.seed, "models": {}, "base": "."}
    Ledger.create(folder, "schema: 1\n", spec.as_json(), manifest).close()
    drive(folder, Campaign.load(folder))
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_amended_targets_judge_the_stored_predictions_anew_and_the_campaign_goes_on(folder: Path) -> None:
    before = Campaign.load(folder).results()
    files = {path.name: path.read_bytes() for path in (folder / "rounds").iterdir()}
    Ledger.resume(folder, Campaign.load(folder).spec.as_json(), Ledger.open(folder).manifest).keep_shard(
        2, "generate", 0, [{"text": "x"}]
    )
    (folder / "LOCK").unlink(missing_ok=True)
    amended, changes = Campaign.load(folder).amend(["targets.0.min=120", "want.candidates=200", "budget.rounds=3"])
    assert "targets[0].min: was 260.0, now 120.0" in changes
    after = Campaign.load(folder).results()
    assert amended.results().rows() == after.rows()
    assert not list((folder / "partial").iterdir())  # chosen by the old spec
    assert {path.name: path.read_bytes() for path in (folder / "rounds").iterdir()} == files
    assert len(after.state.passing()) > len(before.state.passing())
    assert {row["id"] for row in after.rows()} == {row["id"] for row in before.rows()}
    for row in after.rows():
        assert row["probability"] == pytest.approx(norm.sf(120, row["tg_degc"], row["tg_degc_std"]), abs=1e-9)
        assert row["feasible"] == (row["probability"] >= 0.6 and row["tg_degc_in_domain"])
    assert [spec["targets"][0]["min"] for spec in Ledger.open(folder).revisions()] == [260.0, 120]
    state = drive(folder, Campaign.load(folder))
    assert state.rounds == 3
    assert explain.why(folder, state.candidates[-1].id)["prompt"]["spec_revision"] == 1
    assert explain.why(folder, state.candidates[0].id)["prompt"]["spec_revision"] == 0


def test_an_amendment_cut_short_is_still_in_force(folder: Path) -> None:
    old = (folder / "resolved.yaml").read_bytes()
    Campaign.load(folder).amend(["targets.0.min=120"])
    (folder / "resolved.yaml").write_bytes(old)  # as if killed before the last write
    assert Campaign.load(folder).spec.targets[0].min == 120
    assert drive(folder, Campaign.load(folder)).spec.targets[0].min == 120
    assert Campaign.load(folder).spec.targets[0].min == 120


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("targets.0.property=density", "density was never predicted"),
        ("structure.class=polyimide", "what it refused was never scored"),
        ("seed=5", "all that was generated follows from it"),
        ("targets.0.min=260", "nothing would change"),
        ("targets.0.min=9000", "out of reach"),
    ],
)
def test_what_cannot_be_judged_anew_is_refused_with_the_reason(folder: Path, change: str, why: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(SpecError, match=why):
        Campaign.load(folder).amend([change] if "density" not in change else [change, "targets.0.min=1.2"])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_why_tells_a_lineage_that_gives_the_candidate_again(folder: Path) -> None:
    candidate = Campaign.load(folder).results().candidates()[0]
    found = explain.why(folder, candidate.id)
    assert explain.why(folder, candidate.psmiles) == found
    assert toy.Assembler().generate([found["prompt"]["text"]], [[found["seed"]]]) == [[found["text"]]]
    assert [gate["passed"] for gate in found["gates"]] == [True, True, True]
    assert found["probability"] == pytest.approx(candidate.probability)
    assert found["passes"] == (candidate.probability >= 0.6 and candidate.in_domain)
    realised = [one["realised"] for one in found["prompt"]["descriptors"]]
    assert toy.Linear().predict([candidate.psmiles], ["Tg"])[0]["Tg"].mean == found["scores"][0]["mean"]  # type: ignore[union-attr]
    assert realised[9] <= 6  # the toy makes six aromatic rings at most
    assert json.loads(json.dumps(found)) == found
    with pytest.raises(SpecError, match="no candidate of"):
        explain.why(folder, "*CCCCCCCCCCCC*")


def test_why_not_scores_any_polymer_with_the_campaigns_own_models(folder: Path) -> None:
    kapton = explain.why_not(folder, "*Oc1ccc(cc1)N1C(=O)c2cc3c(cc2C1=O)C(=O)N(c1ccc(*)cc1)C3=O")
    assert kapton["status"] == "known"
    assert not kapton["passes"]
    assert "a polymer that is not known yet" in kapton["change"]
    assert {score["surrogate"] for score in kapton["scores"]} == {"polync", "polyscreen", "tanimoto"}
    assert "Tg" in explain.told(kapton)
    broken = explain.why_not(folder, "*CC(")
    assert (broken["scores"], broken["probability"], broken["passes"]) == ([], None, False)
    assert "FAIL  repeat unit" in explain.told(broken)


def test_adherence_of_every_descriptor(folder: Path) -> None:
    results = Campaign.load(folder).results()
    rows = {row["descriptor"]: row for row in results.adherence()}
    assert len(rows) == 15
    pairs = [
        (int(row["prompt"].split(",")[9]), row["descriptors"][9])
        for record in Ledger.open(folder).rounds()
        for row in record.samples
        if row["descriptors"]
    ]
    rings = rows["NumAromaticRings"]
    assert rings["samples"] == len(pairs)
    assert rings["exact"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    assert rings["bias"] == pytest.approx(sum(b - a for a, b in pairs) / len(pairs))
    assert rings["correlation"] == pytest.approx(np.corrcoef(np.array(pairs).T)[0, 1])
