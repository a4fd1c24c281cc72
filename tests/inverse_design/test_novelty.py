from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from inverse_design.errors import ModelError, SpecError
from inverse_design.novelty import Reference, fingerprint
from inverse_design.polymer import RepeatUnit, canonical_units, parse
from inverse_design.split import WELL_KNOWN, key

TEXTS = [*WELL_KNOWN][:20]


@pytest.fixture(scope="module")
def bundled() -> Reference:
    return Reference.load()


def packed(texts: list[str]) -> np.ndarray:
    units = [unit for text in texts if isinstance(unit := parse(text), RepeatUnit)]
    return np.frombuffer(b"".join(fingerprint(unit.mol) for unit in canonical_units(units)), np.uint8).reshape(-1, 128)


def test_similarity_is_tanimoto_as_rdkit_computes_it() -> None:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    queries = ["*CC(*)c1ccc(C)cc1", "*CC(*)C(=O)OCC", "*Oc1ccc(C(=O)c2ccc(*)cc2)cc1"]
    similarity, index = Reference.of(TEXTS).nearest(packed(queries))
    known = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in TEXTS]
    for query, found, nearest in zip(queries, similarity, index, strict=True):
        unit = parse(query)
        assert isinstance(unit, RepeatUnit)
        (unit,) = canonical_units([unit])
        expected = DataStructs.BulkTanimotoSimilarity(generator.GetFingerprint(Chem.MolFromSmiles(unit.psmiles)), known)
        assert found == max(expected)
        assert nearest == expected.index(max(expected))


def test_many_bits_do_not_overflow() -> None:
    full = np.full((1, 128), 255, np.uint8)
    reference = Reference(keys=np.array([1, 2]), fingerprints=np.concatenate([np.zeros_like(full), full]))
    assert [part.tolist() for part in reference.nearest(full)] == [[1.0], [1]]


def test_the_bundled_reference_knows_the_well_known(bundled: Reference) -> None:
    assert len(bundled.keys) == len(set(bundled.keys.tolist())) > 16_000
    assert all(bundled.knows(key(text)) for text in WELL_KNOWN)
    assert not bundled.knows(key("*CC(*)c1ccc(C(C)C(F)(F)Cl)cc1"))
    similarity, index = bundled.nearest(packed(TEXTS))
    assert (similarity == 1).all()
    assert bundled.name(0) == f"{bundled.keys[0]:016x}"
    assert int(bundled.name(int(index[0])), 16) in bundled.keys


def test_another_frame_is_as_similar() -> None:
    frames = packed(["*CCOC(=O)c1ccc(C(=O)O*)cc1", "*OCCOC(=O)c1ccc(C(*)=O)cc1", "*C(=O)c1ccc(C(=O)OCCO*)cc1"])
    assert (frames == frames[0]).all()


def test_no_reference_knows_nothing() -> None:
    nothing = Reference.load("none")
    similarity, index = nothing.nearest(packed(TEXTS))
    assert not nothing.knows(key("*C*"))
    assert similarity.tolist() == [0.0] * len(TEXTS)
    assert index.tolist() == [-1] * len(TEXTS)


def test_a_table_of_ones_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("name,Smiles,Tg\nPET,*OCCOC(=O)c1ccc(C(*)=O)cc1,76\njunk,CC,\nPE, [*]CC[*] ,\n", encoding="utf-8-sig")
    with caplog.at_level(logging.WARNING):
        mine = Reference.load(table)
    assert "1 of 3 rows" in caplog.text
    assert mine.knows(key("*CCOC(=O)c1ccc(C(=O)O*)cc1"))
    assert mine.names == ("*OCCOC(=O)c1ccc(C(*)=O)cc1", "[*]CC[*]")
    similarity, index = mine.nearest(packed(["*CCCC*"]))
    assert (similarity.tolist(), mine.name(int(index[0]))) == ([1.0], "[*]CC[*]")


def test_tables_that_are_none(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    with pytest.raises(ModelError, match="cannot be read"):
        Reference.load(table)
    table.write_text("name,structure\nPE,*CC*\n")
    with pytest.raises(SpecError, match="columns are name, structure; wanted one named psmiles"):
        Reference.load(table)
    table.write_text("smiles\nCC\n")
    with pytest.raises(SpecError, match="none of 1 rows is a repeat unit"):
        Reference.load(table)
    damaged = tmp_path / "known.safetensors"
    damaged.write_bytes(b"\x80\x04junk")
    with pytest.raises(ModelError, match="not a reference"):
        Reference.load(damaged)


def test_the_bundled_descriptors_are_those_of_molecules() -> None:
    from safetensors.numpy import load_file

    from inverse_design.descriptor_names import COLUMN
    from inverse_design.descriptors import broken_identities
    from inverse_design.reference.build import SOURCES

    folder = Path(__file__).parents[2] / "inverse_design" / "reference"
    tensors = load_file(folder / "descriptors.safetensors")
    rows = tensors["descriptors"]
    assert rows.shape[1] == 15
    assert len(rows) == len(tensors["source"]) > 25_000
    assert sorted(np.unique(tensors["source"]).tolist()) == list(range(len(SOURCES)))
    assert (rows[:, COLUMN["RingCount"]] == rows[:, COLUMN["NumAliphaticRings"]] + rows[:, COLUMN["NumAromaticRings"]]).all()
    assert all(not broken_identities(tuple(row)) for row in rows[::50].tolist())
