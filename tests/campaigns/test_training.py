"""Options of `train` that a model does not have are refused before anything is read or written."""

from pathlib import Path

import pytest

from campaigns.training import train_model
from inverse_design.errors import ModelError, SpecError


def ask(model: str, data: Path, *, steps: int | None = None, start: Path | None = None) -> None:
    train_model(model, data, data / "work", steps, 1, start, lambda _: None)


@pytest.mark.parametrize("model", ["polyscreen", "tanimoto"])
def test_options_of_other_models_are_refused(model: str, tmp_path: Path) -> None:
    (tmp_path / "structures.parquet").touch()
    with pytest.raises(SpecError, match=rf"--start: {model} .*polytao and polync do"):
        ask(model, tmp_path, start=tmp_path)
    with pytest.raises(SpecError, match=f"--steps: {model}"):
        ask(model, tmp_path, steps=3)
    assert not (tmp_path / "work").exists()


def test_a_folder_without_the_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no structures\.parquet"):
        ask("polync", tmp_path)


@pytest.mark.parametrize("model", ["polytao", "polync"])
def test_a_start_that_is_no_model_is_named(model: str, tmp_path: Path) -> None:
    (tmp_path / "structures.parquet").touch()
    (tmp_path / "tokenizer.json").touch()
    with pytest.raises(ModelError, match=r"--start.*no model\.safetensors"):
        ask(model, tmp_path, start=tmp_path)
    assert not (tmp_path / "work").exists()
