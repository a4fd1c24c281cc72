"""Van der Waals volumes: against Bondi's groups, and densities of amorphous polymers in the literature."""

import pytest

from inverse_design.polymer import RepeatUnit, parse
from surrogates.volume import filled, volume

CM3 = 0.602214076
"""Cubic centimetres in a mole of cubic angstroms."""


def unit(text: str) -> RepeatUnit:
    found = parse(text)
    assert isinstance(found, RepeatUnit)
    return found


@pytest.mark.parametrize(
    ("psmiles", "groups"),
    [
        ("*CC*", 10.23 + 10.23),
        ("*CC(*)C", 10.23 + 6.78 + 13.67),
        ("*CC(*)(C)C", 10.23 + 3.33 + 2 * 13.67),
        ("*CC(*)c1ccccc1", 10.23 + 6.78 + 45.84),
        ("*Cc1ccc(*)cc1", 10.23 + 43.32),
    ],
)
def test_volumes_are_those_of_bondis_groups(psmiles: str, groups: float) -> None:
    """Group contributions of Bondi (J. Phys. Chem. 68:441, 1964), cm3/mol, which the increments were made to do without."""
    assert volume(unit(psmiles).mol) * CM3 == pytest.approx(groups, rel=0.05)


@pytest.mark.parametrize(
    ("psmiles", "density"),
    [
        ("*CC*", 0.855),
        ("*CC(*)C", 0.85),
        ("*CC(*)c1ccccc1", 1.05),
        ("*CC(*)(C)C(=O)OC", 1.17),
        ("*Oc1ccc(C(C)(C)c2ccc(OC(*)=O)cc2)cc1", 1.20),
        ("*OCCOC(=O)c1ccc(C(*)=O)cc1", 1.33),
        ("*CC(*)Cl", 1.39),
        ("*C(F)(F)C(*)(F)F", 2.0),
    ],
)
def test_amorphous_polymers_fill_two_thirds_of_space(psmiles: str, density: float) -> None:
    """Slonimskii et al. (Polym. Sci. USSR 12:556, 1970): .68 of it, hardly depending on what they are made of."""
    assert 0.6 < density / filled(unit(psmiles).mol) < 0.73


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ("*CC(*)Cl", "*CC(Cl)CC(Cl)CC(*)Cl"),
        ("*c1ccc(*)cc1", "*c1ccc(-c2ccc(-c3ccc(*)cc3)cc2)cc1"),
        ("*=CC=*", "*=CC=CC=CC=*"),
        ("*[Si](C)(C)O*", "*[Si](C)(C)O[Si](C)(C)O[Si](C)(C)O*"),
    ],
)
def test_several_units_are_several_times_as_large(one: str, several: str) -> None:
    assert volume(unit(several).mol) == pytest.approx(3 * volume(unit(one).mol))
    assert filled(unit(several).mol) == pytest.approx(filled(unit(one).mol))
