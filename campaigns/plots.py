"""Plots of held-out figures: parity, reliability of chances, adherence of the generator. Needs the extra `plots`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inverse_design.errors import ModelError
from inverse_design.properties import PROPERTIES
from surrogates.calibration import Z80
from surrogates.evaluation import Judged, reliability


def _figure(rows: int, columns: int, size: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ModelError('plots need matplotlib; install it with pip install "inverse-design[plots]"') from error
    figure = Figure(figsize=(size * columns, size * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).ravel()


def parity(judged: Mapping[str, Judged], path: Path) -> None:
    """Draw predicted against true values of each property, 80 % intervals as bars, out of domain in orange."""
    columns = min(4, len(judged))
    figure, axes = _figure(-(-len(judged) // columns), columns, 3.2)
    for axis, (name, one) in zip(axes, judged.items(), strict=False):
        for inside, colour in ((True, "tab:blue"), (False, "tab:orange")):
            rows = one.inside == inside
            bars = Z80 * one.std[rows]
            axis.errorbar(one.true[rows], one.mean[rows], yerr=bars, fmt=".", ms=4, lw=0.4, alpha=0.6, color=colour)
        ends = [min(one.true.min(), one.mean.min()), max(one.true.max(), one.mean.max())]
        axis.plot(ends, ends, color="black", lw=0.8)
        axis.set_title(f"{name}, R2 {one.errors.r2:.2f}", fontsize=9)
        axis.set_xlabel(f"true / {PROPERTIES[name].unit}", fontsize=8)
        axis.set_ylabel("predicted", fontsize=8)
    for axis in axes[len(judged) :]:
        axis.set_axis_off()
    figure.savefig(path, dpi=120)


def chances(judged: Mapping[str, Judged], path: Path) -> None:
    """Draw, per property, the share that came true against the chance given; on the diagonal a chance means what it says."""
    figure, axes = _figure(1, 1, 5.0)
    for name, one in judged.items():
        bins, error = reliability(*one.chances())
        axes[0].plot([b[0] for b in bins], [b[1] for b in bins], ".-", lw=0.8, label=f"{name} ({error:.3f})")
    axes[0].plot([0, 1], [0, 1], color="black", lw=0.8)
    axes[0].set_xlabel("chance given")
    axes[0].set_ylabel("share that came true")
    axes[0].legend(fontsize=6, title="expected calibration error", title_fontsize=7)
    figure.savefig(path, dpi=120)


def adherence(figures: Mapping[str, Any], path: Path) -> None:
    """Draw how well the generator's molecules keep to each descriptor asked for, one bar a kind of prompt."""
    figure, axes = _figure(1, 1, 7.0)
    for place, (kind, one) in enumerate(figures.items()):
        ends = [row + 0.8 * (place + 0.5) / len(figures) for row in range(len(one["r2"]))]
        axes[0].barh(ends, list(one["r2"].values()), height=0.8 / len(figures), label=kind)
        axes[0].set_yticks([row + 0.4 for row in range(len(one["r2"]))], list(one["r2"]), fontsize=8)
    axes[0].set_xlabel("R2 of realised against requested")
    axes[0].set_xlim(0, 1)
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=120)
