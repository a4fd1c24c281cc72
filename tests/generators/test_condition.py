"""Teaching the bundled generator property values: what is shown, and that the result is a model like any other."""

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from generators.polytao import PolyTAO
from generators.train import CONDITIONED, Labelled, condition_polytao
from inverse_design.text2text.training import load_pairs
from inverse_design.text2text.vocabulary import read_tokenizer

BUNDLED = Path(__file__).parents[2] / "generators" / "weights" / "polytao"
LABELLED: list[Labelled] = [
    ("known", "*CC(*)c1ccc(Cl)cc1", (110.0, 5.004)),
    ("hypothetical", "*CCCCCCCCCC(=O)O*", (-50.126, 6.5)),
    ("known", "*CC(*)c1ccccc1", (100.0, 5.0)),  # polystyrene is held out
]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("taught")
    condition_polytao(lambda: LABELLED, BUNDLED, work, replace(CONDITIONED, steps=1, tokens=120), 1, lambda line: None)
    return work


def test_units_that_are_not_held_out_are_shown_with_their_values_and_without(taught: Path) -> None:
    tokenizer = read_tokenizer(taught / "tokenizer.json")
    asked = (
        "110.00,5.00,139,9,0,0,0,0,0,1,0,1,0,0,3,2,1",
        "139,9,0,0,0,0,0,1,0,1,0,0,3,2,1",
        "-50.13,6.50,170,12,0,2,0,0,0,0,0,0,2,0,4,9,0",
        "170,12,0,2,0,0,0,0,0,0,2,0,4,9,0",
    )
    shown = {tuple(row) for group in load_pairs(taught / "pairs.safetensors") for row in group.source.tolist()}
    assert shown == {tuple(tokenizer.encode(text).ids) for text in asked}


def test_the_taught_model_is_read_and_asked_as_the_bundled_one(taught: Path) -> None:
    before, after = (load_file(folder / "model.safetensors") for folder in (BUNDLED, taught))
    assert {name: tensor.shape for name, tensor in before.items()} == {name: tensor.shape for name, tensor in after.items()}
    assert any((before[name] != after[name]).any() for name in before)
    model = PolyTAO.load(taught)
    (texts,) = model.generate(["110.00,5.00,139,9,0,0,0,0,0,1,0,1,0,0,3,2,1"], [[1, 2, 3]])
    assert all(model.miss("139,9,0,0,0,0,0,1,0,1,0,0,3,2,1", text) <= 1 for text in texts)
