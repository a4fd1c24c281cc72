"""Many texts, the same ones each time: nothing crashes or takes long, and one polymer has one canonical text however it is written.

A few thousand here; 20,000 with `pytest -m faults tests/inverse_design/test_polymer_fuzz.py`.
"""

from __future__ import annotations

import random
import resource
import time

import pytest
from rdkit import Chem

from inverse_design.novelty import Reference
from inverse_design.polymer import Reason, RepeatUnit, canonical, canonicals, parse
from inverse_design.sieve import Sieve
from inverse_design.split import WELL_KNOWN
from inverse_design.structure import Requirements

ALPHABET = "CCCCNOSPFcnos[]()()=#123%+-@/\\*.H∗\n "
# Each of them continues a chain at its last atom, so that any rotation of a list of them is the same chain cut elsewhere.
PIECES = (
    "C", "CC", "O", "S", "N", "N(C)", "C(C)", "C(=O)", "C(F)(F)", "[Si](C)(C)", "C=C", "C#C", "S(=O)(=O)", "C(c1ccccc1)",
    "c1ccc(cc1)", "c1cc(ccc1)", "C1CCC(CC1)", "c1c(C)cc(cc1)", "n1c(=O)c2cc3c(cc2c1=O)c(=O)n(c3=O)",
)  # fmt: skip


def texts(rng: random.Random, count: int) -> list[str]:
    """Half noise, half real repeat units with a few characters changed."""
    real = sorted(WELL_KNOWN)
    made = []
    for index in range(count):
        if index % 2:
            made.append("".join(rng.choice(ALPHABET) for _ in range(rng.randint(0, 60))))
            continue
        text = list(rng.choice(real))
        for _ in range(rng.randint(1, 2)):
            place = rng.randrange(len(text))
            text[place : place + rng.randint(0, 2)] = rng.choice(ALPHABET) if rng.random() < 0.7 else ""
            text = text or ["*"]
        made.append("".join(text))
    return made


def shuffled(unit: RepeatUnit, rng: random.Random) -> str:
    order = list(range(unit.mol.GetNumAtoms()))
    rng.shuffle(order)
    return str(Chem.MolToSmiles(Chem.RenumberAtoms(unit.mol, order), canonical=False))


def found(text: str) -> RepeatUnit:
    unit = parse(text)
    assert isinstance(unit, RepeatUnit), (text, unit)
    return unit


def answered(rng: random.Random, count: int) -> int:
    """Parse; of what is a repeat unit, check that canonical forms are their own and do not depend on the order of atoms."""
    units = []
    for text in texts(rng, count):
        began = time.process_time()
        unit = parse(text)
        assert time.process_time() - began < 2.5, text
        if isinstance(unit, RepeatUnit):
            units.append(unit)
        else:
            assert isinstance(unit, Reason)
    forms = canonicals(units)
    assert canonicals([found(form) for form in forms]) == forms
    assert canonicals([found(shuffled(unit, rng)) for unit in units]) == forms
    return len(units)


def reframed(rng: random.Random, count: int) -> None:
    """Write chains of random pieces in another frame, and several units at once."""
    for _ in range(count):
        pieces = [rng.choice(PIECES) for _ in range(rng.randint(1, 6))]
        form = canonical(found(f"*{''.join(pieces)}*"))
        turn = rng.randrange(len(pieces))
        again = "".join(pieces[turn:] + pieces[:turn]) * rng.choice((1, 1, 2, 3))
        assert canonical(found(f"*{again}*")) == form, (pieces, again)


def test_no_text_does_harm_and_canonical_forms_hold() -> None:
    assert answered(random.Random(1), 2000) > 150
    reframed(random.Random(2), 300)


@pytest.mark.faults
def test_twenty_thousand_texts_do_no_harm() -> None:
    assert answered(random.Random(3), 20_000) > 1500
    reframed(random.Random(4), 2000)


def ring(count: int, piece: str) -> str:
    """A macrocycle of `count` rings in the side chain of a repeat unit."""
    return f"*C(*)C%99{piece * count}O%99"


def lattice(side: int) -> str:
    """Fused squares: every atom in several small rings."""
    edges = [
        (row * side + column, row * side + column + step) for row in range(side) for column in range(side) for step in (1, side)
    ]
    mol = Chem.RWMol()
    for _ in range(side * side):
        mol.AddAtom(Chem.Atom(6))
    for a, b in edges:
        if b < side * side and (b != a + 1 or b % side):
            mol.AddBond(a, b, Chem.BondType.SINGLE)
    for corner in (0, side * side - 1):
        mol.AddBond(corner, mol.AddAtom(Chem.Atom(0)), Chem.BondType.SINGLE)
    return str(Chem.MolToSmiles(mol))


PATHOLOGICAL = {
    "para macrocycle": [ring(count, "Oc1ccc(cc1)") for count in (8, 9, 10, 12, 16, 20, 24, 40)],
    "cyclohexylene macrocycle": [ring(count, "OC1CCC(CC1)") for count in (8, 10, 12, 18, 30)],
    "meta macrocycle": [ring(count, "Oc1cc(ccc1)") for count in (10, 20, 40)],
    "imide macrocycle": [ring(count, "n1c(=O)c2cc3c(cc2c1=O)c(=O)n(c3=O)") for count in (2, 3, 4, 8, 12)],
    "fused lattice": [lattice(side) for side in (3, 5, 7, 10, 15, 19)],
    "long chain of rings": ["*" + "Oc1ccc(cc1)" * count + "*" for count in (20, 50, 57, 80)],
    "branches": ["*C" + "(C" * depth + ")" * depth + "*" for depth in (50, 300, 490)],
    "open brackets": ["*" + "(" * 900 + "*", "*" + "[" * 900 + "*", "*C" + "=" * 900 + "*"],
    "ring digits": ["*" + "".join(f"C%{index}" for index in range(10, 100)) * 2 + "*"],
}


@pytest.mark.parametrize("family", PATHOLOGICAL)
def test_no_molecule_takes_long_or_much_memory_on_its_whole_way(family: str) -> None:
    sieve = Sieve(requirements=Requirements.of({}), reference=Reference.load("none"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for text in PATHOLOGICAL[family]:
        began = time.process_time()
        (row,) = sieve.work([{"text": text}])
        assert time.process_time() - began < 2.5, text
        assert row["status"], text
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 * 1024  # KiB
