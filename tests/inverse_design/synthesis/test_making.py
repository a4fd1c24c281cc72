from __future__ import annotations

from pathlib import Path

import pytest

from inverse_design.errors import SpecError
from inverse_design.sieve import sieve_worker
from inverse_design.synthesis.making import Making, missing, on_shelf, read_stock
from inverse_design.synthesis.plan import synthesis_of

PET, KAPTON, SUGAR = "*CCOC(=O)c1ccc(C(=O)O*)cc1", "*CC(*)C#N", "*OC1C(O)C(O)C(*)OC1CO"


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    path = tmp_path / "stock.csv"
    path.write_text("name,SMILES\nglycol,OCCO\nterephthaloyl chloride,O=C(Cl)c1ccc(C(=O)Cl)cc1\nnonsense,C(C\n")
    return path


def test_a_shelf_is_read_and_an_acid_chloride_stands_for_its_acid(stock: Path) -> None:
    assert read_stock(stock) == {"OCCO", on_shelf("OC(=O)c1ccc(C(O)=O)cc1")}


def test_what_is_missing(stock: Path) -> None:
    pet, pan = synthesis_of(PET), synthesis_of(KAPTON)
    assert pet is not None
    assert pan is not None
    assert missing(pet, read_stock(stock)) == ()
    assert missing(pan, read_stock(stock)) == ("C=CC#N",)


def test_an_empty_shelf_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("smiles\nC(C\n")
    with pytest.raises(SpecError, match="none of 1 rows is a SMILES"):
        read_stock(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("block", "text", "refusal"),
    [
        ({"makeable": True}, PET, None),
        ({"makeable": True}, SUGAR, "no_route"),
        ({"monomer_sa_score": {"max": 1.1}}, PET, "monomer_sa_score"),
        ({"monomer_sa_score": {"max": 3}}, PET, None),
    ],
)
def test_what_a_spec_may_ask(block: dict[str, object], text: str, refusal: str | None) -> None:
    making = Making.of(block)
    assert making is not None
    assert making.refusal(text) == refusal


def test_a_spec_that_asks_nothing_costs_nothing() -> None:
    assert Making.of({"makeable": None, "monomer_sa_score": None, "stock": None}) is None
    assert Making.of({"makeable": False}) is None


def test_the_sieve_refuses_with_the_reason(stock: Path) -> None:
    sieve = sieve_worker(structure={"stock": str(stock), "sa_score": None, "makeable": True}, reference="none")
    rows = sieve.work([{"text": text} for text in (PET, KAPTON, SUGAR)])
    assert [row["status"] for row in rows] == ["accepted", "structure:not_in_stock", "structure:no_route"]
