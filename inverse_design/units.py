"""Units: as people spell them, and values told in the one a person asked in, which need not be the one that the engine keeps."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from inverse_design.properties import Property

_SPELLINGS: Final = {
    "oc": "degC", "degc": "degC", "c": "degC", "celsius": "degC", "degk": "K", "k": "K", "kelvin": "K", "of": "degF", "degf": "degF", "f": "degF",
    "g/cc": "g/cm3", "g/ml": "g/cm3", "gcm-3": "g/cm3", "gcm3": "g/cm3", "kgm3": "kg/m3", "g/cm3": "g/cm3", "kg/m3": "kg/m3", "kgm-3": "kg/m3",
    "ev": "eV", "mev": "meV", "ev/atom": "eV/atom", "w/mk": "W/mK", "w/(mk)": "W/mK", "w/m/k": "W/mK", "wm-1k-1": "W/mK", "barrer": "Barrer",
    "log10(barrer)": "log10(Barrer)", "log10barrer": "log10(Barrer)", "log10(ratio)": "log10(ratio)", "ratio": "ratio", "%": "%", "-": "-", "1": "-",
}  # fmt: skip


def spelled(unit: str) -> str:
    """Return a unit as the table of properties spells it: degC for °C, W/mK for W/(m K); empty where it is none."""
    text = unit.strip().replace("°", "deg").replace("º", "deg").replace("℃", "degC")
    text = text.replace("³", "3").replace("⁻", "-").replace("\N{MINUS SIGN}", "-").replace("¹", "1")
    return _SPELLINGS.get(re.sub(r"[\s^·⋅.*]", "", text).lower(), "")


@dataclass(frozen=True, slots=True)
class Unit:
    """One of the units that a property's values can be told in; values given to it are in the property's own.

    Where values are compared by their logarithm (Barrer of log10(Barrer)), an interval is a factor either way.
    """

    item: Property
    name: str

    @classmethod
    def of(cls, item: Property, name: str | None = None) -> Unit:
        """Return a unit by one of the names that `item` accepts; its own where there is none."""
        unit = name or item.unit
        if unit in item.log_units:
            return cls(item, "ratio" if "ratio" in item.log_units else unit)
        return cls(item, spelled(unit) or unit)

    @property
    def heading(self) -> str:
        """The name of the property and this unit, over a column."""
        return f"{self.item.heading} / {self.name}"

    @property
    def factors(self) -> bool:
        """Whether values are compared by their logarithm, so that intervals are factors."""
        return self.name in self.item.log_units

    def value(self, own: float) -> float:
        """Return a value in this unit: the inverse of `Property.convert`."""
        if self.factors:
            return float(10**own / self.item.log_units[self.name])
        factor, offset = self._line
        return (own - offset) / factor

    def text(self, own: float) -> str:
        """Return a value with the decimals that a person is shown."""
        if self.factors:
            return _figures(self.value(own))
        return f"{self.value(own):.{self._digits}f}"

    def brief(self, own: float) -> str:
        """Return a value in four figures, as in a sentence."""
        return self.text(own) if self.factors else f"{self.value(own):.4g}"

    def rounded(self, own: float) -> float:
        """Return a value with these decimals, as a number for a table."""
        text = self.text(own)
        return float(text) if "." in text else int(text)

    def around(self, half: float) -> str:
        """Return the half-width of an interval: `± 25`, or `×÷ 2.1`, the factor to its ends."""
        if self.factors:
            factor = 10**half
            return f"×÷ {factor:.{2 if factor < 2 else 1 if factor < 10 else 0}f}"
        return f"± {half / self._line[0]:.{self._digits}f}"

    def distance(self, own: float) -> str:
        """Return a distance between two values: `14 K`, `a factor of 2`."""
        if self.factors:
            return f"a factor of {10**own:.3g}"
        return f"{own / self._line[0]:.3g} {self.name}"

    @property
    def _line(self) -> tuple[float, float]:
        return self.item.units.get(self.name, (1.0, 0.0))

    @property
    def _digits(self) -> int:
        return max(0, self.item.digits + round(math.log10(self._line[0])))


def _figures(value: float) -> str:
    """Three figures and no power of ten."""
    if not value:
        return "0"
    return f"{value:.{min(6, max(0, 2 - math.floor(math.log10(value))))}f}"
