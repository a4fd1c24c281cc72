from __future__ import annotations

import json

import pytest

from inverse_design.sieve import Sieve, clean, sieve_worker
from inverse_design.structure import Requirements

FIELDS = {"status", "psmiles", "canonical", "descriptors", "polymer_class", "sa_score", "similarity", "nearest"}


@pytest.fixture(scope="module")
def sieve() -> Sieve:
    return sieve_worker(structure={"sa_score": {"max": 4.5}, "forbidden": ["[Br]"]}, max_similarity=0.95)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("<pad> *NC1CCC(C=C2CCCCCC(*)CC2)C1<pad><pad>", "*NC1CCC(C=C2CCCCCC(*)CC2)C1"),
        ("<pad><s> *CC*</s><pad>", "*CC*"),
        ("*CC*</s> and what follows", "*CC*"),
        ("[PAD]*CC(*) Cl[PAD]", "*CC(*)Cl"),
        ("*CC<unk>*<extra_id_12>", "*CC*"),
        ("[*]CC[*]", "[*]CC[*]"),
        ("</s>", ""),
    ],
)
def test_text_is_cleaned_of_what_a_model_leaks(text: str, meant: str) -> None:
    assert clean(text) == meant


def test_each_text_gets_its_reason(sieve: Sieve) -> None:
    cases = {
        "<pad> *CC(*)c1ccc(C2CCC(F)CC2)cc1F<pad>": "accepted",
        "*CC(*)c1ccccc1": "known",
        "[*]C(c1ccccc1)C[*]": "known",
        "*OC(c1ccccc1)OO*": "structure:alert:peroxide",
        "*CC(*)c1ccc(Br)cc1": "structure:forbidden:[Br]",
        "*C1C2CC3(CC12)C(F)(OC3(C)N)C*": "structure:sa_score",
        "*C1CC*": "invalid:unparsable",
        "*CC": "invalid:attachment_points",
        "": "invalid:empty",
        "*": "invalid:attachment_points",
    }
    rows = [{"sample": number, "text": text} for number, text in enumerate(cases)]
    done = sieve.work(rows)
    assert [row["status"] for row in done] == list(cases.values())
    assert [row["sample"] for row in done] == list(range(len(cases)))
    assert all(set(row) == FIELDS | {"sample", "text"} for row in done)
    assert json.loads(json.dumps(done, allow_nan=False)) == done


def test_what_was_not_reached_is_none(sieve: Sieve) -> None:
    accepted, known, refused, invalid = sieve.work(
        [{"text": text} for text in ("*CC(*)c1ccc(C2CCC(F)CC2)cc1F", "*CC(*)C", "*CC(*)c1ccc(Br)cc1", "C")]
    )
    assert all(accepted[name] is not None for name in FIELDS)
    assert 0 < accepted["similarity"] < 0.95
    assert len(accepted["nearest"]) == 16
    assert len(accepted["descriptors"]) == 15
    assert known["canonical"] == "*CC(*)C"
    assert known["similarity"] is known["nearest"] is None
    assert refused["polymer_class"] == "polystyrene"
    assert refused["canonical"] is refused["sa_score"] is None
    assert all(invalid[name] is None for name in FIELDS - {"status"})


def test_rows_do_not_depend_on_their_neighbours(sieve: Sieve) -> None:
    rows = [{"text": text} for text in ("*CC(*)c1ccc(C2CCC(F)CC2)cc1F", "oops", "*CC(*)C", "*CCOC(=O)CCCCC(F)C(=O)O*")]
    assert sieve.work(rows) == [done for row in rows for done in sieve.work([row])]
    assert sieve.work([]) == []


def test_too_similar_is_told_from_known() -> None:
    near = {"text": "*CC(*)C(=O)OCCCCCCCCCCCCCCCCCCCCCCCCCCCC"}
    (strict,) = sieve_worker(max_similarity=0.5).work([near])
    (loose,) = sieve_worker(max_similarity=1.0).work([near])
    assert strict["status"] == "too_similar"
    assert loose["status"] == "accepted"
    assert strict["similarity"] == loose["similarity"] > 0.5


def test_without_a_reference_nothing_is_known() -> None:
    (row,) = sieve_worker(reference="none").work([{"text": "*CC(*)C"}])
    assert (row["status"], row["similarity"], row["nearest"]) == ("accepted", 0.0, "")


def test_a_missing_text_is_data_not_an_error(sieve: Sieve) -> None:
    assert [row["status"] for row in sieve.work([{"text": None}, {}])] == ["invalid:not_text"] * 2


def test_requirements_come_from_json() -> None:
    worker = sieve_worker(**json.loads('{"structure": {"class": ["polyimide"]}, "reference": "none", "max_similarity": 0.9}'))
    assert worker.requirements == Requirements(classes=frozenset({"polyimide"}))
    (row,) = worker.work([{"text": "*CC*"}])
    assert row["status"] == "structure:class:polyolefin"
