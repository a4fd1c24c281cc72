"""The figures of a report as numbers in pixels, ready for a template: bars, boxes and points, drawn as inline SVG."""

from __future__ import annotations

from typing import Final

from inverse_design.protocols import Row

WIDTH: Final = 1000
HEIGHT: Final = 190


def yields(rounds: list[Row]) -> list[Row]:
    """Return bars of samples, valid, accepted and passing, one group a round."""
    most = max((row["samples"] for row in rounds), default=1) or 1
    step = WIDTH / max(len(rounds), 8)
    every = -(-len(rounds) // 25)
    return [
        row
        | {
            "x": round(index * step + 0.12 * step, 1),
            "width": round(0.76 * step, 1),
            "middle": round((index + 0.5) * step, 1),
            "label": row["round"] + 1 if index % every == 0 else "",
            "heights": {name: round(HEIGHT * row[name] / most, 1) for name in ("samples", "valid", "accepted", "passing")},
        }
        for index, row in enumerate(rounds)
    ]


def boxes(spread: list[Row], low: float | None, high: float | None) -> Row | None:
    """Return a box a round from the quantiles of a predicted property, with the band that the target asks for."""
    if not spread:
        return None
    values = [value for row in spread for value in row["quantiles"]] + [bound for bound in (low, high) if bound is not None]
    axis = _Axis(min(values), max(values), HEIGHT, 0)
    step = WIDTH / max(len(spread), 8)
    every = -(-len(spread) // 25)
    top = 0.0 if high is None else axis.at(high)
    bottom = float(HEIGHT) if low is None else axis.at(low)
    return {
        "zone": (round(top, 1), round(bottom - top, 1)),
        "ticks": axis.ticks(),
        "boxes": [
            {
                "round": row["round"] + 1,
                "count": row["count"],
                "quantiles": row["quantiles"],
                "label": row["round"] + 1 if index % every == 0 else "",
                "x": round((index + 0.28) * step, 1),
                "width": round(0.44 * step, 1),
                "middle": round((index + 0.5) * step, 1),
                "y": [round(axis.at(value), 1) for value in row["quantiles"]],
            }
            for index, row in enumerate(spread)
        ],
    }


def scatter(candidates: list[Row], x: Row, y: Row) -> Row | None:
    """Return candidates on two properties with the Pareto front of those that pass, for the directions asked for."""
    if not candidates:
        return None
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
    front: list[Row] = []
    if x["sign"] and y["sign"]:
        best = -float("inf")
        passing = [
            (x["sign"] * row[x["column"]], y["sign"] * row[y["column"]], point)
            for row, point in zip(candidates, points, strict=True)
            if row["feasible"]
        ]
        for _, height, point in sorted(passing, key=lambda item: (-item[0], -item[1])):
            if height > best:
                front.append(point)
                best = height
    return {"points": points[::-1], "front": front, "x_ticks": across.ticks(), "y_ticks": up.ticks(), "height": 2 * HEIGHT}


class _Axis:
    """Values to pixels, with round numbers to label."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        margin = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
        self.low, self.high, self.start, self.end = low - margin, high + margin, start, end

    @classmethod
    def over(cls, candidates: list[Row], target: Row, start: float, end: float) -> _Axis:
        values = [row[target["column"]] for row in candidates]
        return cls(min(values), max(values), start, end)

    def at(self, value: float) -> float:
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def ticks(self, about: int = 5) -> list[Row]:
        """Round numbers: 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / about
        power = 10.0 ** len(str(int(rough))) / 10 if rough >= 1 else 10.0 ** -next(n for n in range(1, 30) if rough * 10**n >= 1)
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        first = int(self.low // step) + 1
        values = [step * index for index in range(first, first + 3 * about) if step * index <= self.high]
        return [{"at": round(self.at(value), 1), "text": f"{value:g}".replace("-", "\N{MINUS SIGN}")} for value in values]
