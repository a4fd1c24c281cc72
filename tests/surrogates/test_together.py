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
