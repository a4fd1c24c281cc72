"""Repeat-unit SMILES read piece by piece: can this text still become a polymer, and is it one already?

The grammar is OpenSMILES as RDKit writes it, narrowed to one fragment with two attachment points of one bond
each. Bonds are counted against each atom's highest valence, so that a text is given up at the first bond too many.
Aromaticity is not judged. A piece may end inside brackets or after `%`, but holds `Cl` and `Br` whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

STARS = 2

_SYMBOL = re.compile(r"\[[^\]]*\]?|%.{0,2}|Cl|Br|.", re.DOTALL)
_ELEMENTS = (
    "H Li B C N O F Na Mg Al Si P S Cl K Ca Ti Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Zr Mo Pd Ag Cd Sn Sb Te I Ba Pt Hg Pb".split()  # noqa: SIM905
)
_BRACKET = re.compile(
    rf"\[(?:{'|'.join(sorted(_ELEMENTS, key=len, reverse=True))}|c|n|o|p|se?|te|\*)@{{0,2}}(?:H\d?)?(?:[+-]\d?)?\]"
)
_BRACKET_BEGUN = re.compile(rf"\[[{''.join(sorted({element[0] for element in _ELEMENTS}))}t]?|{_BRACKET.pattern[:-2]}")
_ORDERS = {"-": 1, "/": 1, "\\": 1, ":": 1, "=": 2, "#": 3}
_AROMATIC = {"c": 3, "n": 3, "o": 2, "s": 2, "p": 3, "b": 3, "[nH]": 2, "[n+]": 3, "[o+]": 2, "[se]": 2}
_VALENCES = {"C": 4, "N": 3, "O": 2, "S": 6, "P": 5, "B": 3, "F": 1, "Cl": 1, "Br": 1, "I": 5} | {
    "[N+]": 4, "[NH+]": 3, "[NH2+]": 2, "[N-]": 2, "[O-]": 1, "[S-]": 1, "[Si]": 4, "[SiH]": 3, "[SiH2]": 2, "[Ge]": 4, "[H]": 1
}  # fmt: skip
_ANY = 8


class Atom(NamedTuple):
    """An atom that may get more bonds. free: how many; counted: each takes one, whatever its order (aromatic atoms, `*`)."""

    number: int
    free: int
    counted: bool
    neighbours: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What must be known of the text so far.

    here: the atom that the next one is bonded to; branches: atoms of the open parentheses, outermost first;
    rings: opening atom of each open label; last: the last whole symbol, "" at the start; begun: an unfinished symbol.
    """

    here: Atom | None = None
    branches: tuple[Atom, ...] = ()
    rings: tuple[tuple[int, int], ...] = ()
    atoms: int = 0
    stars: int = 0
    last: str = ""
    begun: str = ""


def complete(state: State) -> bool:
    """Whether the text is a whole repeat unit as it stands."""
    closed = not (state.branches or state.rings or state.begun or state.last in _ORDERS)
    return closed and state.stars == STARS < state.atoms


def advance(state: State, piece: str) -> State | None:
    """Return the state after `piece`, or None where no text that goes on so is a repeat unit."""
    here, branches, rings, atoms, stars, last = (
        state.here,
        state.branches,
        dict(state.rings),
        state.atoms,
        state.stars,
        state.last,
    )
    begun = ""
    for symbol in _symbols(state.begun + piece):
        order = _ORDERS.get(last, 1)
        if symbol[0] in "0123456789%":
            # After a branch a label would be read, but is never written.
            if here is None or last in ("(", ")") or here.free < _cost(here, order):
                return None
            digits = symbol.removeprefix("%")
            if digits and not digits.isdecimal():
                return None
            if symbol[0] == "%" and len(symbol) < 3:
                begun = symbol
                break
            label = int(digits)
            neighbours = here.neighbours
            if label in rings:
                other = rings.pop(label)
                if other == here.number or other in neighbours:
                    return None
                neighbours = (*neighbours, other)
            else:
                rings[label] = here.number
            here = Atom(here.number, here.free - _cost(here, order), here.counted, neighbours)
        elif symbol == "(":
            if here is None or last in _ORDERS or last == "(" or not here.free:
                return None
            branches = (*branches, Atom(here.number, here.free - 1, here.counted, here.neighbours))
        elif symbol == ")":
            if not branches or last in _ORDERS or last == "(" or _opened_after(branches[-1], rings):
                return None
            here, branches = branches[-1], branches[:-1]
        elif symbol in _ORDERS:
            if here is None or last in _ORDERS or here.free < (cost := _cost(here, _ORDERS[symbol])):
                return None
            if last == "(":
                branches = (*branches[:-1], branches[-1]._replace(free=here.free - cost))
        else:
            if here is not None and here.free < _cost(here, order):
                return None
            if symbol[0] == "[" and symbol[-1] != "]":
                if not _BRACKET_BEGUN.fullmatch(symbol):
                    return None
                begun = symbol
                break
            kind = _atom(symbol)
            if kind is None:
                return None
            free, counted = kind
            if here is not None:
                free -= 1 if counted else order
            if free < 0:
                return None
            here = Atom(atoms, free, counted, () if here is None else (here.number,))
            atoms += 1
            stars += symbol in ("*", "[*]")
        last = symbol
    if here is not None and not here.free and not begun and not _may_go_on(branches, rings, stars == STARS < atoms):
        return None
    if stars > STARS or not piece:
        return None
    return State(here=here, branches=branches, rings=tuple(rings.items()), atoms=atoms, stars=stars, last=last, begun=begun)


def _opened_after(branch: Atom, rings: dict[int, int]) -> bool:
    """Whether a ring is open since the branch: a written SMILES follows a tree, and closes each ring in the branch that opens it."""
    return any(opener > branch.number for opener in rings.values())


def _may_go_on(branches: tuple[Atom, ...], rings: dict[int, int], ended: bool) -> bool:
    """Whether a text whose last atom is full can close branches until one has room for more, or until it has `ended`."""
    for branch in reversed(branches):
        if _opened_after(branch, rings):
            return False
        if branch.free:
            return True
    return ended and not rings


def _cost(atom: Atom, order: int) -> int:
    return 1 if atom.counted else order


@cache
def _atom(symbol: str) -> tuple[int, bool] | None:
    """Return (bonds, counted) of the atom written as `symbol`, or None where there is none."""
    if symbol in ("*", "[*]"):
        return 1, True
    if symbol in _AROMATIC:
        return _AROMATIC[symbol], True
    if symbol in _VALENCES:
        return _VALENCES[symbol], False
    return (_ANY, symbol[1].islower()) if _BRACKET.fullmatch(symbol) else None


@lru_cache(maxsize=10_000)
def _symbols(text: str) -> tuple[str, ...]:
    return tuple(_SYMBOL.findall(text))


class SmilesGuide:
    """Lets a model write repeat units only (protocol `Guide`). pieces: text of each token; end: the end token."""

    start = State()

    def __init__(self, pieces: Sequence[str], end: int) -> None:
        self.pieces = pieces
        self.end = end

    def follow(self, state: State, token: int) -> State | None:
        """Return the state after `token`, or None where it may not be drawn."""
        if token == self.end:
            return state if complete(state) else None
        return advance(state, self.pieces[token])
