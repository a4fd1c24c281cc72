"""The figures of a report as numbers in pixels, ready for a template: bars, boxes and points, drawn as inline SVG."""

from __future__ import annotations

import math
from typing import Final

from inverse_design.protocols import Row
from inverse_design.units import Unit

WIDTH: Final = 560
HEIGHT: Final = 180


def yields(rounds: list[Row]) -> Row | None:
    """Return two bars a round: the share of its texts that pass, and what became of all of them."""
    if not rounds:
        return None
    shares = [100 * row["passing"] / (row["samples"] or 1) for row in rounds]
    axis = _Axis(0.0, max(*shares, 1.0), HEIGHT, 0, margin=0.0)
    most = max(row["samples"] for row in rounds) or 1
    return {
        "ticks": axis.ticks(4),
        "prior": round(axis.at(shares[0]), 1),
        "first": shares[0],
        "last": shares[-1],
        "bars": [
            row
            | place
            | {
                "share": share,
                "top": round(axis.at(share), 1),
                "heights": {name: round(HEIGHT * row[name] / most, 1) for name in ("samples", "valid", "accepted", "passing")},
            }
            for row, share, place in zip(rounds, shares, _places(rounds, 0.7), strict=True)
        ],
    }


def _places(rounds: list[Row], share: float) -> list[Row]:
    """Where the bar of each round stands, and its label, which not every one has where there are many."""
    step = WIDTH / max(len(rounds), 6)
    every = -(-len(rounds) // 16)
    return [
        {
            "x": round((index + 0.5 - share / 2) * step, 1),
            "width": round(share * step, 1),
            "middle": round((index + 0.5) * step, 1),
            "label": row["round"] + 1 if index % every == 0 else "",
        }
        for index, row in enumerate(rounds)
    ]


def boxes(spread: list[Row], low: float | None, high: float | None, unit: Unit) -> Row | None:
    """Return a box a round from the quantiles of a predicted property, with the band that the target asks for and ticks in `unit`."""
    if not spread:
        return None
    values = [value for row in spread for value in row["quantiles"]] + [bound for bound in (low, high) if bound is not None]
    axis = _Axis(min(values), max(values), HEIGHT, 0)
    bottom, top = axis.band(low, high)
    return {
        "zone": (top, round(bottom - top, 1)),
        "ticks": axis.ticks(unit=unit),
        "boxes": [
            row | place | {"y": [round(axis.at(value), 1) for value in row["quantiles"]]}
            for row, place in zip(spread, _places(spread, 0.44), strict=True)
        ],
    }


def scatter(candidates: list[Row], first: tuple[Row, Unit], second: tuple[Row, Unit]) -> Row | None:
    """Return candidates on two properties, each a target and the unit of its ticks, the area that both targets ask for, and the Pareto front of those that pass (of all
    where none does), for targets with a better side."""
    if not candidates:
        return None
    (x, x_unit), (y, y_unit) = first, second
    across = _Axis.over(candidates, x, 0, WIDTH)
    up = _Axis.over(candidates, y, 2 * HEIGHT, 0)
    points = [
        {
            "x": round(across.at(row[x["column"]]), 1),
            "y": round(up.at(row[y["column"]]), 1),
            "rank": row["rank"],
            "feasible": row["feasible"],
        }
        for row in candidates
    ]
    ways = [_better(target) for target in (x, y)]
    front: list[Row] = []
    if all(ways):
        some = any(row["feasible"] for row in candidates)
        best = -float("inf")
        compared = [
            (ways[0] * row[x["column"]], ways[1] * row[y["column"]], point)
            for row, point in zip(candidates, points, strict=True)
            if row["feasible"] or not some
        ]
        for _, height, point in sorted(compared, key=lambda item: (-item[0], -item[1])):
            if height > best:
                front.append(point)
                best = height
    left, right = across.band(x["low"], x["high"])
    bottom, top = up.band(y["low"], y["high"])
    return {
        "points": points[::-1],
        "front": front,
        "zone": (left, top, round(right - left, 1), round(bottom - top, 1)),
        "x_ticks": across.ticks(unit=x_unit),
        "y_ticks": up.ticks(unit=y_unit),
        "height": 2 * HEIGHT,
    }


def _better(target: Row) -> int:
    """1 where more is better, -1 where less is, 0 where the middle of a window is asked for."""
    if target["sign"]:
        return int(target["sign"])
    return (target["low"] is not None) - (target["high"] is not None)


class _Axis:
    """Values to pixels, with round numbers to label."""

    def __init__(self, low: float, high: float, start: float, end: float, margin: float | None = None) -> None:
        margin = (0.06 * (high - low) or abs(high) * 0.1 or 1.0) if margin is None else margin
        self.low, self.high, self.start, self.end = low - margin, high + margin, start, end

    @classmethod
    def over(cls, candidates: list[Row], target: Row, start: float, end: float) -> _Axis:
        values = [row[target["column"]] for row in candidates]
        values += [bound for bound in (target["low"], target["high"]) if bound is not None]
        return cls(min(values), max(values), start, end)

    def at(self, value: float) -> float:
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def band(self, low: float | None, high: float | None) -> tuple[float, float]:
        """Where a window of values starts and ends, the ends of the axis where it is open."""
        return round(self.start if low is None else self.at(low), 1), round(self.end if high is None else self.at(high), 1)

    def ticks(self, about: int = 5, unit: Unit | None = None) -> list[Row]:
        """Round numbers of `unit`: 1, 2 or 5 times a power of ten, as steps, or as values where they go over more than a power."""
        low, high = (self.low, self.high) if unit is None else (unit.value(self.low), unit.value(self.high))
        if unit is not None and unit.factors and high > 10 * low:
            powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
            each = (1,) if len(powers) > about else (1, 2, 5) if len(powers) < 3 else (1, 3)
            values = [one for power in powers for part in each if low <= (one := part * 10.0**power) <= high]
        else:
            rough = (high - low) / about
            power = (
                10.0 ** len(str(int(rough))) / 10 if rough >= 1 else 10.0 ** -next(n for n in range(1, 30) if rough * 10**n >= 1)
            )
            step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
            start = int(low // step) + 1
            values = [step * index for index in range(start, start + 3 * about) if step * index <= high]
        places = values if unit is None else [unit.item.convert(value, unit.name) for value in values]
        return [
            {"at": round(self.at(place), 1), "text": f"{value:g}".replace("-", "\N{MINUS SIGN}")}
            for place, value in zip(places, values, strict=True)
        ]
