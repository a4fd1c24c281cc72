"""The table of properties: names, units, physical range, the question PolyNC is asked, and what is derived from what."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One property: values anywhere in the engine are in `unit`.

    units: accepted unit -> (factor, offset) with value_in_unit = factor * value + offset; log_units: accepted unit -> factor
    with value_in_unit = log10(factor * value); low, high: physical range, anything outside is no answer; scale: a width a
    chemist would call large, for distances between values; column: of the data, empty where no table has it.

    A derived property is `constant` + the sum of weight * value over `terms` (property -> weight); no model is asked for
    it, and `correlation` is that of the errors of any two terms on one repeat unit.
    """

    name: str
    unit: str
    low: float
    high: float
    scale: float
    label: str
    column: str = ""
    units: dict[str, tuple[float, float]] = field(default_factory=dict)
    log_units: dict[str, float] = field(default_factory=dict)
    terms: dict[str, float] = field(default_factory=dict)
    constant: float = 0.0
    correlation: float = 0.0
    question: str = ""
    decimals: int = 2
    kind: str = "exp"

    @property
    def accepted(self) -> tuple[str, ...]:
        """Units a value may be given in, the property's own first."""
        return tuple(dict.fromkeys((self.unit, *self.units, *self.log_units)))

    @property
    def asked(self) -> tuple[str, ...]:
        """What models are asked for to answer it: its terms, or itself."""
        return tuple(self.terms) or (self.name,)

    @property
    def method(self) -> str:
        """How the values were computed, DFT or MD; empty for measured ones, and for what is derived from those."""
        return {"dft": "DFT", "md": "MD"}.get(self.kind, "")

    @property
    def heading(self) -> str:
        """The name over a column, with the method: a computed value is not what an instrument shows."""
        return f"{self.name} ({self.method})" if self.method else self.name

    @property
    def digits(self) -> int:
        """Decimals that a person is shown: none where what a chemist would call a difference is several whole units."""
        return 0 if self.scale >= 5 else self.decimals

    def convert(self, value: float, unit: str) -> float:
        """Return `value` given in `unit` in the property's own unit; KeyError for an unknown unit, ValueError for no logarithm."""
        if unit in self.log_units:
            if value <= 0:
                raise ValueError(f"{value:g} {unit} is not more than nothing; {self.name} is compared by its logarithm")
            return math.log10(self.log_units[unit] * value)
        factor, offset = {self.unit: (1.0, 0.0), **self.units}[unit]
        return factor * value + offset


_DEGREES = {"C": (1.0, 0.0), "K": (1.0, -273.15), "kelvin": (1.0, -273.15), "celsius": (1.0, 0.0), "degF": (5 / 9, -160 / 9)}
_EV = {"meV": (1e-3, 0.0)}
_NONE = {"-": (1.0, 0.0)}
_BARRER = {"Barrer": 1.0}
_RATIO = {"-": 1.0, "ratio": 1.0}
# Correlation of the errors of two gases' log10 permeabilities: a polymer predicted too open is so for every gas. Measured on
# polymers left out one by one, none of them held out; `inverse-design train tanimoto` prints it.
_TOGETHER: Final = {
    ("O2", "N2"): 0.97,
    ("CO2", "N2"): 0.91,
    ("CO2", "CH4"): 0.92,
    ("CO2", "O2"): 0.93,
    ("H2", "CH4"): 0.88,
    ("H2", "N2"): 0.88,
    ("H2", "CO2"): 0.92,
    ("He", "N2"): 0.76,
    ("He", "CH4"): 0.77,
}
# log10 Barrer a little above the most open polymers measured, acetylenes with indane: 18,700 Barrer of O2 (Hu et al., Macromolecules
# 41:8525, 2008). A table that says more of a plain hydrocarbon is wrong.
_MOST_OPEN: Final = {"O2": 4.4, "N2": 4.25, "CO2": 4.8, "CH4": 4.6, "H2": 4.6, "He": 4.4}
# Upper bound of 2008, P_fast = k * selectivity**n: front factor k in Barrer, slope n (Robeson, J. Membr. Sci. 320, 390, 2008).
ROBESON_2008: Final = {
    ("O2", "N2"): (1_396_000, -5.666),
    ("CO2", "N2"): (30_967_000, -2.888),
    ("CO2", "CH4"): (5_369_140, -2.636),
    ("H2", "CH4"): (27_200, -1.107),
    ("H2", "N2"): (97_650, -1.484),
}


def _ask(what: str) -> str:
    return f"Predict the {what} of the following SMILES: {{smiles}}"


_LIST = (
    Property(
        name="Tg",
        unit="degC",
        units=_DEGREES,
        low=-150,
        high=600,
        scale=50,
        label="glass transition temperature",
        column="tg_c",
        question=_ask("Tg"),
    ),
    Property(
        name="Tm",
        unit="degC",
        units=_DEGREES,
        low=-150,
        high=700,
        scale=50,
        label="melting temperature",
        column="tm_c",
        question=_ask("Tm"),
    ),
    Property(
        name="density",
        unit="g/cm3",
        units={"kg/m3": (1e-3, 0.0)},
        low=0.5,
        high=3.0,
        scale=0.1,
        label="density",
        column="density_gcm3",
        question=_ask("density"),
        decimals=3,
    ),
    Property(
        name="bandgap_chain",
        unit="eV",
        units=_EV,
        low=0,
        high=15,
        scale=1,
        label="band gap of the chain (DFT)",
        column="egc_ev",
        question=_ask("band gap chain"),
        kind="dft",
    ),
    Property(
        name="bandgap_crystal",
        unit="eV",
        units=_EV,
        low=0,
        high=15,
        scale=1,
        label="band gap of the crystal (hybrid DFT)",
        column="bandgap_crystal",
        question=_ask("bandgap crystal"),
        kind="dft",
    ),
    Property(
        name="bandgap_bulk",
        unit="eV",
        units=_EV,
        low=0,
        high=15,
        scale=1,
        label="band gap of the bulk (DFT)",
        column="egb_ev",
        question=_ask("band gap bulk"),
        kind="dft",
    ),
    Property(
        name="electron_affinity",
        unit="eV",
        units=_EV,
        low=-3,
        high=8,
        scale=0.5,
        label="electron affinity (DFT)",
        column="eea_ev",
        question=_ask("electron affinity"),
        kind="dft",
    ),
    Property(
        name="ionization_energy",
        unit="eV",
        units=_EV,
        low=2,
        high=14,
        scale=0.5,
        label="ionization energy (DFT)",
        column="ei_ev",
        question=_ask("ionization energy"),
        kind="dft",
    ),
    Property(
        name="atomization_energy",
        unit="eV/atom",
        low=-12,
        high=0,
        scale=0.3,
        label="atomization energy (DFT)",
        column="eat_ev_per_atom",
        question=_ask("atomization energy"),
        kind="dft",
    ),
    Property(
        name="dielectric_constant",
        unit="-",
        units=_NONE,
        low=1,
        high=15,
        scale=0.5,
        label="dielectric constant (DFT)",
        column="eps",
        question=_ask("dielectric constant"),
        kind="dft",
    ),
    Property(
        name="refractive_index",
        unit="-",
        units=_NONE,
        low=1,
        high=3.5,
        scale=0.1,
        label="refractive index (DFT)",
        column="nc",
        question=_ask("refractive index"),
        decimals=3,
        kind="dft",
    ),
    Property(
        name="crystallization_tendency",
        unit="%",
        low=0,
        high=100,
        scale=20,
        label="tendency to crystallise",
        column="xc_pct",
        question=_ask("crystallization tendency"),
    ),
    Property(
        name="free_volume",
        unit="-",
        units={"%": (0.01, 0.0)},
        low=0.1,
        high=0.9,
        scale=0.03,
        label="fractional free volume (MD)",
        column="ffv_md",
        question=_ask("fractional free volume"),
        decimals=4,
        kind="md",
    ),
    Property(
        name="thermal_conductivity",
        unit="W/mK",
        low=0.02,
        high=2,
        scale=0.1,
        label="thermal conductivity (MD)",
        column="tc_md_w_mk",
        question=_ask("thermal conductivity"),
        decimals=3,
        kind="md",
    ),
    *(
        Property(
            name=f"permeability_{gas}",
            unit="log10(Barrer)",
            log_units=_BARRER,
            low=-5,
            high=most,
            scale=0.5,
            label=f"permeability of {gas}, log10",
            column=f"p_{gas.lower()}_log10barrer",
            question=_ask(f"{gas} permeability"),
        )
        for gas, most in _MOST_OPEN.items()
    ),
    *(
        Property(
            name=f"selectivity_{fast}_{slow}",
            unit="log10(ratio)",
            log_units=_RATIO,
            low=-2,
            high=4,
            scale=0.3,
            label=f"ideal selectivity {fast}/{slow}, log10",
            terms={f"permeability_{fast}": 1.0, f"permeability_{slow}": -1.0},
            correlation=_TOGETHER[fast, slow],
            kind="derived",
        )
        for fast, slow in _TOGETHER
    ),
    # log10 of selectivity over the bound's at the same permeability: 0 on the line, 0.3 twice as selective.
    *(
        Property(
            name=f"robeson_{fast}_{slow}",
            unit="log10(ratio)",
            log_units=_RATIO,
            low=-4,
            high=2,
            scale=0.3,
            label=f"selectivity {fast}/{slow} over the 2008 Robeson upper bound, log10",
            terms={f"permeability_{fast}": 1 - 1 / slope, f"permeability_{slow}": -1.0},
            constant=math.log10(front) / slope,
            correlation=_TOGETHER[fast, slow],
            kind="derived",
        )
        for (fast, slow), (front, slope) in ROBESON_2008.items()
    ),
)

PROPERTIES: Final[dict[str, Property]] = {item.name: item for item in _LIST}
