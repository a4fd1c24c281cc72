"""One split for every bundled model: which repeat units are held out, by the hash of their canonical form."""

from __future__ import annotations

import hashlib
from typing import Final

TEST_PERCENT = 5
CALIBRATION_PERCENT = 5

# Canonical repeat unit -> (name, literature Tg in degC): a chemist's first look, never trained on.
WELL_KNOWN: Final = {
    "*CC(*)c1ccccc1": ("polystyrene", 100),
    "*CC(*)(C)C(=O)OC": ("poly(methyl methacrylate)", 105),
    "*c1ccc(OC(=O)Oc2ccc(C(*)(C)C)cc2)cc1": ("bisphenol-A polycarbonate", 147),
    "*CCOC(=O)c1ccc(C(=O)O*)cc1": ("poly(ethylene terephthalate)", 76),
    "*CC(*)Cl": ("poly(vinyl chloride)", 81),
    "*C*": ("polyethylene", -120),
    "*CC(*)C": ("polypropylene", -10),
    "*O[Si](*)(C)C": ("poly(dimethylsiloxane)", -125),
    "*COC*": ("poly(ethylene oxide)", -67),
    "*CC(*)C#N": ("polyacrylonitrile", 95),
    "*CC(*)OC(C)=O": ("poly(vinyl acetate)", 32),
    "*CC(*)O": ("poly(vinyl alcohol)", 85),
    "*NCCCCCC(*)=O": ("nylon-6", 50),
    "*CCCNC(=O)CCCCC(=O)NCCC*": ("nylon-6,6", 50),
    "*OC(C)C(*)=O": ("poly(lactic acid)", 58),
    "*CCCCC(=O)OC*": ("polycaprolactone", -60),
    "*CC(*)C(=O)OC": ("poly(methyl acrylate)", 10),
    "*CC(*)C(=O)OCCCC": ("poly(butyl acrylate)", -54),
    "*Oc1c(C)cc(*)cc1C": ("poly(2,6-dimethyl-1,4-phenylene oxide)", 215),
    "*Sc1ccc(*)cc1": ("poly(phenylene sulfide)", 90),
    "*Oc1ccc(Oc2ccc(C(=O)c3ccc(*)cc3)cc2)cc1": ("PEEK", 143),
    "*c1ccc(Oc2ccc(C(C)(C)c3ccc(Oc4ccc(S(*)(=O)=O)cc4)cc3)cc2)cc1": ("polysulfone", 190),
    "*CC(*)(F)F": ("poly(vinylidene fluoride)", -40),
    "*CC=CC*": ("1,4-polybutadiene", -100),
    "*CC=C(C)C*": ("1,4-polyisoprene", -70),
    "*CC(*)(C)C": ("polyisobutylene", -70),
    "*Oc1ccc(-n2c(=O)c3cc4c(=O)n(-c5ccc(*)cc5)c(=O)c4cc3c2=O)cc1": ("Kapton (PMDA-ODA)", 360),
    "*c1ccc(-c2ccc(N3C(=O)c4ccc(C(c5ccc6c(c5)C(=O)N(*)C6=O)(C(F)(F)F)C(F)(F)F)cc4C3=O)cc2C(F)(F)F)c(C(F)(F)F)c1": (
        "6FDA-TFMB",
        329,
    ),
    "*C(*)(F)F": ("poly(tetrafluoroethylene)", 115),
    "*COC(=O)c1ccc2cc(C(=O)OC*)ccc2c1": ("poly(ethylene naphthalate)", 120),
}


def key(canonical: str) -> int:
    """Return a 63-bit name of a repeat unit, the same for every frame, direction and multiple."""
    return int.from_bytes(hashlib.sha256(canonical.encode()).digest()[:8], "big") >> 1


def held_out(key: int) -> bool:
    """Whether no model may be trained on this repeat unit: 5 in 100, and the well-known polymers of the model cards."""
    return key % 100 < TEST_PERCENT or key in _WELL_KNOWN_KEYS


def calibration(key: int) -> bool:
    """Whether surrogates set this repeat unit aside to measure their errors."""
    return TEST_PERCENT <= key % 100 < TEST_PERCENT + CALIBRATION_PERCENT and key not in _WELL_KNOWN_KEYS


_WELL_KNOWN_KEYS: Final = frozenset(key(canonical) for canonical in WELL_KNOWN)
