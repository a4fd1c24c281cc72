"""Which models a spec gets: each is asked only for what it answers, derived properties for their terms."""

from pathlib import Path

import pytest

from campaigns.campaign import Campaign
from campaigns.models import Cast
from inverse_design.errors import ModelError, SpecError
from inverse_design.spec import CampaignSpec


def spec(*targets: dict[str, object], **other: object) -> CampaignSpec:
    return CampaignSpec.model_validate({"schema": 1, "name": "one", "targets": targets, **other})


def test_a_derived_target_asks_surrogates_for_its_terms() -> None:
    cast = Cast.of(spec({"property": "robeson_CO2_N2", "min": 0}, {"property": "permeability_CO2", "min": 2}), Path())
    assert cast.properties["tanimoto"] == ("permeability_CO2", "permeability_N2")
    assert all({"permeability_CO2", "permeability_N2"}.issuperset(asked) for asked in cast.properties.values())
    several = Cast.of(spec({"property": "bandgap_chain", "min": 4}), Path())
    assert set(several.properties) >= {"polync", "tanimoto"}


def test_every_bundled_surrogate_is_asked_for_the_glass_transition() -> None:
    cast = Cast.of(spec({"property": "Tg", "min": 100}), Path())
    assert cast.properties == dict.fromkeys(["polync", "polyscreen", "tanimoto"], ("Tg",))
    assert {model.kind for model in cast.surrogates.values()} == {"t5", "graph", "tanimoto"}


def test_a_term_that_nobody_answers_is_named() -> None:
    with pytest.raises(
        SpecError, match="no surrogate answers 'permeability_CO2', which 'selectivity_CO2_N2' is derived from"
    ) as error:
        Cast.of(spec({"property": "selectivity_CO2_N2", "min": 1}, surrogates=["bundled:polyscreen"]), Path())
    assert "these can be asked: Tg, density, " in str(error.value)
    with pytest.raises(SpecError, match="no surrogate answers 'Tm'; these can be asked: Tg, density, "):
        Cast.of(spec({"property": "Tm", "min": 1}, surrogates=["bundled:polyscreen"]), Path())


def test_a_bundled_model_can_be_asked_for_what_it_does_not_offer() -> None:
    target = {"property": "Tm", "min": 200}
    cast = Cast.of(spec(target, surrogates=[{"model": "bundled:polyscreen", "properties": ["Tm", "Tg"]}]), Path())
    assert cast.properties == {"polyscreen": ("Tm",)}
    with pytest.raises(SpecError, match="bundled:polyscreen does not answer 'robeson_CO2_N2'; it answers Tg, Tm, ") as error:
        Cast.of(
            spec(target, surrogates=["bundled:tanimoto", {"model": "bundled:polyscreen", "properties": ["robeson_CO2_N2"]}]),
            Path(),
        )
    assert error.value.problems[0].where == "surrogates.1.properties.0"


def test_another_backend_is_another_model_to_the_ledger() -> None:
    target = {"property": "Tg", "min": 100}
    plain = Cast.of(spec(target, surrogates=["bundled:polync"]), Path())
    how = {"backend": "torch-bf16", "device": "cuda"}
    other = Cast.of(spec(target, generator=how, surrogates=[{"model": "bundled:polync", "backend": "torch-bf16"}]), Path())
    assert not set(plain.digests().values()) & set(other.digests().values())
    assert other.generator_worker(spec(target, generator=how)).arguments.items() >= how.items()
    assert other.surrogate_workers()["polync"].arguments.items() >= {"backend": "torch-bf16", "device": "cpu"}.items()
    with pytest.raises(ModelError, match="bundled:polyscreen: backend and device are for text-to-text models"):
        Cast.of(spec(target, surrogates=[{"model": "bundled:polyscreen", "backend": "torch-bf16"}]), Path())


def test_a_backend_that_is_not_installed_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaigns.models.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"bundled:polytao: backend ctranslate2: not installed; pip install"):
        Cast.of(spec({"property": "Tg", "min": 100}, generator={"backend": "ctranslate2"}), Path())


def test_what_no_model_answers_is_told_with_its_place(tmp_path: Path) -> None:
    text = "schema: 1\nname: one\ntargets:\n  - {property: Tm, min: 200}\nsurrogates:\n  - {model: bundled:polyscreen, properties: [Tg, robeson_CO2_N2]}\n"
    (tmp_path / "one.yaml").write_text(text)
    with pytest.raises(SpecError) as error:
        Campaign.from_yaml(tmp_path / "one.yaml", tmp_path / "runs").cast()
    assert [(problem.line, problem.column, problem.where) for problem in error.value.problems] == [
        (4, 16, "targets.0.property"),
        (6, 50, "surrogates.0.properties.1"),
    ]
    with pytest.raises(SpecError) as error:
        Campaign.from_yaml(tmp_path / "one.yaml", tmp_path / "runs", ["surrogates.0.properties=[Tg]"]).cast()
    assert str(error.value).startswith(f"{tmp_path / 'one.yaml'}:4:16: targets.0.property: no surrogate answers 'Tm'")
    with pytest.raises(SpecError) as error:
        Campaign.from_yaml(tmp_path / "one.yaml", tmp_path / "runs", ["surrogates.0.properties=[robeson_CO2_N2]"]).cast()
    assert error.value.problems[-1].file == "--set"
