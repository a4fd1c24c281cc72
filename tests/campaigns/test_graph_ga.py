"""The example of a generator that breeds: children are repeat units made of their parents, the same for the same seed."""

import random
import sys
from pathlib import Path

import pytest
from rdkit import Chem

from campaigns.plugin_check import check_generator
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.split import WELL_KNOWN
from inverse_design.workers import GeneratorWorker

sys.path.append(str(Path(__file__).parents[2] / "campaigns" / "examples" / "plugins" / "graph_ga"))
from graph_ga import GraphGA, child, crossed, mutated

KNOWN = list(WELL_KNOWN)


def test_it_keeps_the_contract() -> None:
    assert [check for check in check_generator(GeneratorWorker(generator=GraphGA())) if not check.kept] == []


def test_a_library_of_ones_own_takes_the_place_of_the_well_known_polymers(tmp_path: Path) -> None:
    table = tmp_path / "library.csv"
    table.write_text("psmiles\n*CCO*\n*CC(*)c1ccccc1\nno unit\n")
    assert [text for text, _ in GraphGA(str(table)).library] == ["*CCO*", "*CC(*)c1ccccc1"]


@pytest.mark.parametrize("mutation", [0.0, 1.0])
def test_children_are_new_repeat_units(mutation: float) -> None:
    children = [child(KNOWN, seed, mutation) for seed in range(200)]
    assert all(isinstance(parse(text), RepeatUnit) for text in children)
    assert len(set(children) - set(KNOWN)) > 150
    assert children[:20] == [child(KNOWN, seed, mutation) for seed in range(20)]


def test_a_cross_is_a_half_of_each_parent() -> None:
    silicone, fluoride = Chem.MolFromSmiles("*[Si](C)(C)C*"), Chem.MolFromSmiles("*C(F)(F)N*")
    found = {crossed(silicone, fluoride, random.Random(seed)) for seed in range(300)}
    # Each of three bonds cut, and a side taken that has a star and more.
    ours, theirs = ("*C[Si](C)(C)", "*[Si](C)(C)", "*C", "*[Si](C)(C)C"), ("C(F)(F)N*", "C(F)(F)*", "N*", "NC(F)(F)*")
    assert found == {Chem.CanonSmiles(a + b) for a in ours for b in theirs}


def test_a_mutation_is_a_small_change() -> None:
    parent = Chem.MolFromSmiles("*CCOC(=O)c1ccc(C(=O)O*)cc1")
    found = {text for seed in range(200) if (text := mutated(parent, random.Random(seed))) is not None}
    sizes = {Chem.MolFromSmiles(text).GetNumHeavyAtoms() - parent.GetNumHeavyAtoms() for text in found}
    assert len(found) > 20
    assert {-1, 0, 1} <= sizes
    assert max(sizes) <= 11  # phthalimide is the largest ring it knows
