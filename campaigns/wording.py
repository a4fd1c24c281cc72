"""How people say it: times, units, and why a text was refused."""

from __future__ import annotations

from typing import Final

from inverse_design.polymer import Reason

INVALID_BECAUSE: Final = {
    Reason.EMPTY: "no repeat unit given",
    Reason.TOO_LONG: "text too long",
    Reason.BAD_CHARACTER: "a character that SMILES does not have",
    Reason.UNPARSABLE: "not SMILES",
    Reason.TOO_COMPLEX: "too many atoms or rings",
    Reason.NOT_ONE_FRAGMENT: "more than one fragment",
    Reason.ATTACHMENT_POINTS: "a repeat unit has exactly two attachment points *, each with one bond, as in *CC*",
    Reason.ATTACHMENT_BONDS: "the bonds to the two * differ, or are neither single nor double",
    Reason.NO_HEAVY_ATOM: "no atoms between the two *",
    Reason.ELEMENT: "an element that polymers are not made of",
    Reason.CHARGE: "an impossible charge",
    Reason.RADICAL: "a radical",
    Reason.ISOTOPE: "isotope labels or atom numbers",
    Reason.NOT_SANITIZABLE: "impossible valences or aromaticity",
}
_UNITS: Final = {
    "degC": "\N{DEGREE SIGN}C",
    "degF": "\N{DEGREE SIGN}F",
    "g/cm3": "g/cm\N{SUPERSCRIPT THREE}",
    "kg/m3": "kg/m\N{SUPERSCRIPT THREE}",
    "W/mK": "W/(m K)",
    "log10(Barrer)": "log10 Barrer",
    "log10(ratio)": "log10",
    "ratio": "",
    "-": "",
}
# The first word of a status -> what it means, with the rest of it in place of {}.
_REFUSALS: Final = {
    "invalid": "no repeat unit: {}",
    "element": "contains {}",
    "class": "another class: {}",
    "alert": "unstable or never made: {}",
    "descriptor": "{} out of bounds",
    "required": "lacks {}",
    "forbidden": "contains {}",
    "sa_score": "too hard to make by its SA score",
    "no_route": "no known polymerisation leads to it",
    "monomer_sa_score": "a monomer too hard to make by its SA score",
    "not_in_stock": "a monomer that is not in stock",
    "known": "known already",
    "too_similar": "too much like a known polymer",
    "duplicate": "proposed before",
    "no_answer": "no surrogate has an answer",
}


def duration(seconds: float) -> str:
    """Return a time as people say it: 40 s, 12 min, 3 h 05 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def in_print(text: str, unit: str = "") -> str:
    """Return a unit, or a target in that unit, as it is printed: Tg \N{GREATER-THAN OR EQUAL TO} 350 \N{DEGREE SIGN}C."""
    unit = unit or text
    shown = (
        text.removesuffix(unit)
        .replace("_", " ")
        .replace(">=", "\N{GREATER-THAN OR EQUAL TO}")
        .replace("<=", "\N{LESS-THAN OR EQUAL TO}")
    )
    return f"{shown}{_UNITS.get(unit, unit)}".strip() if text.endswith(unit) else shown


def refusal(status: str) -> str:
    """Return in words why a sample was refused, given its status: structure:element:Br is "contains Br"."""
    kind, _, rest = status.removeprefix("structure:").partition(":")
    if kind == "invalid":
        rest = next((words for reason, words in INVALID_BECAUSE.items() if reason.value == rest), rest)
    return _REFUSALS[kind].format(rest.replace("_", " ")) if kind in _REFUSALS else status
