"""The bundled surrogates together, as a campaign asks them: known values of polymers held out of every training set."""

import pytest

from campaigns.models import SURROGATES, load_surrogate
from inverse_design.target import consensus


def test_densities_of_polystyrene_and_nylon() -> None:
    """Measured, g/cm3: 1.05 and 1.14."""
    polymers = ["*CC(*)c1ccccc1", "*NCCCCCCNC(=O)CCCCC(*)=O"]
    told = [load_surrogate(folder).predict(polymers, ["density"]) for folder in SURROGATES.values()]
    together = [consensus("density", {"density": [one["density"] for one in rows]}) for rows in zip(*told, strict=True)]
    assert [answer.mean for answer in together] == pytest.approx([1.05, 1.14], abs=0.08)


def test_poly_dimethylsiloxane_is_far_below_freezing() -> None:
    """Measured, degC: -125. PolyNC, of which it is at the end of the range, may say nothing."""
    told = [load_surrogate(folder).predict(["*O[Si](*)(C)C"], ["Tg"])[0]["Tg"] for folder in SURROGATES.values()]
    together = consensus("Tg", {"Tg": [one for one in told if one is not None]})
    assert together is not None
    assert together.mean < -80
    assert abs(together.mean + 125) < 2 * together.std
