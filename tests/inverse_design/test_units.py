from __future__ import annotations

import math

import pytest

from inverse_design.properties import PROPERTIES
from inverse_design.units import Unit, spelled

DOUBLE = math.log10(2)


@pytest.mark.parametrize(
    ("name", "unit", "own", "text", "around", "distance"),
    [
        ("Tg", None, 100.0, "100", "± 10", "10 degC"),
        ("Tg", "K", 426.85, "700", "± 10", "10 K"),
        ("Tg", "degF", 100.0, "212", "± 18", "18 degF"),  # water boils
        ("density", "g/cm3", 1.0494, "1.049", "± 10.000", "10 g/cm3"),
        ("density", "kg/m3", 1.0494, "1049", "± 10000", "1e+04 kg/m3"),
        ("bandgap_chain", "meV", 4.5, "4500", "± 10000", "1e+04 meV"),
        ("free_volume", "%", 0.1834, "18.34", "± 1000.00", "1e+03 %"),
    ],
)
def test_a_value_is_told_in_the_unit_that_was_asked_in(
    name: str, unit: str | None, own: float, text: str, around: str, distance: str
) -> None:
    shown = Unit.of(PROPERTIES[name], unit)
    assert (shown.text(own), shown.around(10.0), shown.distance(10.0)) == (text, around, distance)
    assert shown.rounded(own) == float(text)
    assert not shown.factors


@pytest.mark.parametrize(
    ("own", "text"), [(2.0, "100"), (0.0, "1.00"), (-1.5, "0.0316"), (2.47, "295"), (4.3, "19953"), (-9.0, "0.000000")]
)
def test_what_is_compared_by_its_logarithm_is_told_without_it(own: float, text: str) -> None:
    barrer = Unit.of(PROPERTIES["permeability_O2"], "Barrer")
    assert barrer.text(own) == text
    assert barrer.factors
    assert Unit.of(PROPERTIES["permeability_O2"]).text(own) == f"{own:.2f}"


def test_the_interval_of_a_logarithm_is_a_factor() -> None:
    ratio = Unit.of(PROPERTIES["selectivity_CO2_N2"], "-")
    assert ratio.heading == "selectivity_CO2_N2 / ratio"
    assert [ratio.around(n * DOUBLE) for n in (0.5, 1, 4)] == ["×÷ 1.41", "×÷ 2.0", "×÷ 16"]
    assert ratio.distance(DOUBLE) == "a factor of 2"


@pytest.mark.parametrize(("item", "unit"), [(item, unit) for item in PROPERTIES.values() for unit in item.accepted])
def test_every_accepted_unit_leads_back(item, unit):
    shown = Unit.of(item, unit)
    for own in (item.low, (item.low + item.high) / 2, item.high):
        assert item.convert(shown.value(own), unit) == pytest.approx(own)
        assert item.convert(shown.value(own), shown.name) == pytest.approx(own)


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("°C", "degC"),
        ("℃", "degC"),
        ("kelvin", "K"),
        ("F", "degF"),
        ("W/m/K", "W/mK"),
        ("W/(m K)", "W/mK"),
        ("W/(m·K)", "W/mK"),
        ("W m⁻¹ K⁻¹", "W/mK"),
        ("W m^-1 K^-1", "W/mK"),
        ("g/cm^3", "g/cm3"),
        ("g cm⁻³", "g/cm3"),
        ("g/mL", "g/cm3"),
        ("kg/m³", "kg/m3"),
        ("barrer", "Barrer"),
        ("furlong", ""),
    ],
)
def test_units_as_people_spell_them(written: str, unit: str) -> None:
    assert spelled(written) == unit
