from __future__ import annotations

import random
import time
from collections import defaultdict
from pathlib import Path

import pytest
from rdkit import Chem

from inverse_design.polymer import Reason, RepeatUnit, canonical, canonical_units, canonicals, parse

DATA = Path(__file__).parents[2] / "../shared/data"

# Each line: the same chain in other frames, directions and multiples, written by hand.
SAME = [
    ["*CC*", "*C*", "*CCCC*", "[*]CC[*]", "C(*)C*"],
    ["*CCO*", "*COC*", "*OCC*", "*CCOCCO*"],
    ["*CC(*)C", "*C(C)C*", "*CC(C)CC(*)C"],
    ["*CCOC(=O)c1ccc(C(=O)O*)cc1", "*OCCOC(=O)c1ccc(C(*)=O)cc1", "*C(=O)c1ccc(C(=O)OCCO*)cc1", "*C(=O)OCCOC(=O)c1ccc(*)cc1"],
    ["*NCCCCCC(*)=O", "*CCCCCC(=O)N*", "*CCC(=O)NCCC*"],
    ["*O[Si](*)(C)C", "*[Si](C)(C)O*", "*[Si](C)(C)O[Si](C)(C)O*"],
    ["*c1ccc(*)cc1", "*c1ccc(-c2ccc(*)cc2)cc1"],
    ["*Oc1ccc(-n2c(=O)c3cc4c(=O)n(-c5ccc(*)cc5)c(=O)c4cc3c2=O)cc1", "*N1C(=O)c2cc3c(cc2C1=O)C(=O)N(c1ccc(Oc2ccc(*)cc2)cc1)C3=O"],
]
DIFFERENT = [
    "*CC*", "*CC=CC*", "*CCO*", "*CO*", "*CC(*)C", "*CC(*)(C)C", "*C(C)C(*)C", "*CC(C)C(*)C", "*CCC(*)C", "*c1ccc(*)cc1",
    "*c1cccc(*)c1", "*OC(=O)CC*", "*OCC(=O)C*", "*NCC(*)=O", "*CC(*)c1ccccc1", "*CCc1ccc(*)cc1", "*C=C*", "*C#C*",
]  # fmt: skip


def unit(text: str) -> RepeatUnit:
    found = parse(text)
    assert isinstance(found, RepeatUnit), (text, found)
    return found


@pytest.mark.parametrize("texts", SAME, ids=lambda texts: texts[0])
def test_one_text_for_every_frame_direction_and_multiple(texts: list[str]) -> None:
    assert len({canonical(unit(text)) for text in texts}) == 1


def test_different_chains_stay_apart() -> None:
    found = defaultdict(list)
    for text in [*DIFFERENT, *(texts[0] for texts in SAME if texts[0] not in DIFFERENT)]:
        found[canonical(unit(text))].append(text)
    assert [texts for texts in found.values() if len(texts) > 1] == []


def multiplied(text: str, times: int) -> str:
    """The repeat unit `times` over, by bonding copies end to end."""
    piece = unit(text).mol
    chain = Chem.Mol(piece)
    for _ in range(times - 1):
        size = chain.GetNumAtoms()
        both = Chem.RWMol(Chem.CombineMols(chain, piece))
        stars = [atom.GetIdx() for atom in both.GetAtoms() if atom.GetAtomicNum() == 0]
        tail = stars[1]
        head = next(star for star in stars if star >= size)
        bond = both.GetAtomWithIdx(tail).GetBonds()[0]
        a, b = (both.GetAtomWithIdx(star).GetNeighbors()[0].GetIdx() for star in (tail, head))
        both.AddBond(a, b, bond.GetBondType())
        for star in sorted((tail, head), reverse=True):
            both.RemoveAtom(star)
        chain = both.GetMol()
    return Chem.MolToSmiles(chain)


@pytest.mark.parametrize("text", [texts[0] for texts in SAME] + DIFFERENT[:14])
@pytest.mark.parametrize("times", [2, 3])
def test_a_multiple_of_the_unit_is_the_same_polymer(text: str, times: int) -> None:
    assert canonical(unit(multiplied(text, times))) == canonical(unit(text))


def test_atom_order_does_not_matter() -> None:
    shuffle = random.Random(3)
    for text in [texts[-1] for texts in SAME]:
        mol = unit(text).mol
        for _ in range(5):
            order = list(range(mol.GetNumAtoms()))
            shuffle.shuffle(order)
            again = Chem.MolToSmiles(Chem.RenumberAtoms(mol, order), canonical=False)
            assert canonical(unit(again)) == canonical(unit(text))


def test_the_canonical_unit_is_its_own_and_the_batch_agrees_with_one() -> None:
    units = [unit(text) for texts in SAME for text in texts]
    together = canonicals(units)
    assert together == [canonical(one) for one in units]
    assert [canonical(unit(text)) for text in together] == together
    assert [found.psmiles for found in canonical_units(units)] == together
    assert canonicals([]) == []


def test_stereo_is_kept_in_the_frame_and_left_out_of_the_identity() -> None:
    assert unit("*C/C=C/C*").psmiles == "*C/C=C/C*"
    assert canonical(unit("*C/C=C/C*")) == canonical(unit(r"*C/C=C\C*")) == "*CC=CC*"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("∗CC∗", Reason.BAD_CHARACTER),
        ("＊CC＊", Reason.BAD_CHARACTER),
        ("*CC\nC*", Reason.BAD_CHARACTER),
        ("*CC*\n", Reason.BAD_CHARACTER),
        ("*C C*", Reason.BAD_CHARACTER),
        ("*CC* name", Reason.BAD_CHARACTER),
        ("*CC* |$x;;;$|", Reason.BAD_CHARACTER),
        ("\ufeff*CC*", Reason.BAD_CHARACTER),
        ("*CC*\x00", Reason.BAD_CHARACTER),
        ("", Reason.EMPTY),
        ("*[C+999]*", Reason.CHARGE),
        ("*[C-9]*", Reason.CHARGE),
        ("*", Reason.ATTACHMENT_POINTS),
        ("**", Reason.NO_HEAVY_ATOM),
        ("*[H]*", Reason.NO_HEAVY_ATOM),
        ("*C(*)*", Reason.ATTACHMENT_POINTS),
        ("CC", Reason.ATTACHMENT_POINTS),
        ("C1*C*1", Reason.ATTACHMENT_POINTS),
        ("*CC*.*OO*", Reason.NOT_ONE_FRAGMENT),
        ("*CC*.[Na+]", Reason.NOT_ONE_FRAGMENT),
        ("[1*]CC[2*]", Reason.ISOTOPE),
        ("*[13CH2]C*", Reason.ISOTOPE),
        ("*[CH2:1]C*", Reason.ISOTOPE),
        ("*=CC*", Reason.ATTACHMENT_BONDS),
        ("*#CC#*", Reason.ATTACHMENT_BONDS),
        ("*[Cu]C[Au]*", Reason.ELEMENT),
        ("*C[Ts]C*", Reason.ELEMENT),
        ("*C[CH]C*", Reason.RADICAL),
        (None, Reason.NOT_TEXT),
        (float("nan"), Reason.NOT_TEXT),
        (3, Reason.NOT_TEXT),
        ("*CC(C)(C)(C)C*", Reason.NOT_SANITIZABLE),
        ("*c*", Reason.NOT_SANITIZABLE),
        ("*C1CC*", Reason.UNPARSABLE),
        ("=*CC*", Reason.UNPARSABLE),
        ("*C(C*", Reason.UNPARSABLE),
        ("*" + "C" * 1000 + "*", Reason.TOO_LONG),
        ("*" + "C" * 1_000_000 + "*", Reason.TOO_LONG),
        ("*" + "C" * 500 + "*", Reason.TOO_COMPLEX),
    ],
)
def test_what_rdkit_would_accept_in_silence_is_refused_with_a_reason(text: object, reason: Reason) -> None:
    assert parse(text) is reason


def para_macrocycle(rings: int) -> str:
    ring = "".join(f"Oc%{index}ccc(cc%{index})" for index in range(11, 11 + rings - 1))
    return f"C1(*)(*){ring}Oc2ccc1cc2"


@pytest.mark.parametrize(
    "text",
    [
        para_macrocycle(24),
        "C1(*)(*)"
        + "".join(f"N%{a}C(=O)c%{b}ccc(cc%{b}C%{a}=O)" for a, b in zip(range(10, 34), range(34, 58), strict=True))
        + "O1",
    ],
)
def test_rings_that_take_exponential_time_are_refused_at_once(text: str) -> None:
    start = time.process_time()
    assert parse(text) is Reason.TOO_COMPLEX
    assert time.process_time() - start < 0.5


def test_hydrogen_atoms_written_out_make_no_difference() -> None:
    for text in ("*C([H])([H])C*", "[H]C(*)C*", "*[CH2]C([H])([H])*"):
        assert canonical(unit(text)) == "*C*"
    assert canonical(unit("*C([H])=C([H])C*")) == canonical(unit("*C=CC*"))
    assert canonical(unit("*N([H])C*")) == "*CN*"


def test_a_long_chain_of_rings_is_no_trouble() -> None:
    start = time.process_time()
    assert canonical(unit("*" + "Oc1ccc(cc1)" * 20 + "*")) == "*Oc1ccc(*)cc1"
    assert time.process_time() - start < 2


@pytest.mark.skipif(not DATA.exists(), reason="the structures are not beside this checkout")
def test_the_partition_is_that_of_ring_closure() -> None:
    """`key` in the table was made by closing units into rings, another way to the same identity.

    Chains cut at a double bond (`*=C...C=*`) are left out: cut at a single bond, they are another text here.
    """
    import pyarrow.parquet as pq

    rows = pq.read_table(DATA / "properties.parquet", columns=["psmiles", "psmiles_src", "key"]).to_pylist()
    texts: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        texts[row["key"]] |= {
            text for text in (row["psmiles"], row["psmiles_src"]) if text and "=*" not in text and not text.startswith("*=")
        }
    keys = random.Random(1).sample(sorted(name for name in texts if len(texts[name]) > 2), 150)
    found: dict[str, set[str]] = defaultdict(set)
    for name in keys:
        units = [one for text in sorted(texts[name]) if isinstance(one := parse(text), RepeatUnit)]
        forms = set(canonicals(units))
        assert len(forms) == 1, texts[name]
        found[forms.pop()].add(name)
    merged = {form: names for form, names in found.items() if len(names) > 1}
    assert not merged
