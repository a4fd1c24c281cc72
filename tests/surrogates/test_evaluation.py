"""Figures of the cards: closed forms, and a surrogate whose errors are known on tables of a handful."""

import math
from collections.abc import Sequence
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from inverse_design.polymer import RepeatUnit, canonical, parse
from inverse_design.protocols import Prediction
from inverse_design.split import held_out, key
from surrogates.consensus import evaluate_consensus
from surrogates.evaluation import HeldOut, Judged, evenness, offer, reliability
from surrogates.observations import TEST
from surrogates.train_tanimoto import correlation


def test_chances_that_come_true_as_often_as_said_have_no_error() -> None:
    said = np.repeat([0.05, 0.25, 0.95], 100)
    true = np.concatenate([np.arange(100) < share for share in (5, 25, 95)])
    bins, error = reliability(said, true)
    assert error == pytest.approx(0)
    assert [count for _, _, count in bins] == [100, 100, 100]
    assert reliability(np.ones(10), np.arange(10) < 7)[1] == pytest.approx(0.3)


def judged(n: int, factor: float) -> Judged:
    """Normal errors whose standard deviation is told `factor` times too small or large."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 3, n)
    mean = true + rng.normal(0, 1, n)
    return Judged(units=["*CC*"] * n, true=true, mean=mean, std=np.full(n, factor), inside=np.ones(n, bool))


def test_error_bars_of_the_right_size_cover_four_in_five() -> None:
    assert judged(20_000, 1.0).covered.mean() == pytest.approx(0.8, abs=0.01)
    assert judged(20_000, 0.5).covered.mean() == pytest.approx(2 * 0.7392 - 1, abs=0.01)  # Phi(0.6408)
    assert reliability(*judged(20_000, 0.3).chances())[1] > 2 * reliability(*judged(20_000, 1.0).chances())[1]


def covered(shares: Sequence[float], n: int) -> Judged:
    """Error bars of 1 that hold such a share of each third of n predictions."""
    mean = np.arange(n, dtype=float) * 100
    held = np.concatenate([np.arange(n // 3) < round(share * n / 3) for share in shares])
    return Judged(units=["*CC*"] * n, true=mean + np.where(held, 0, 9), mean=mean, std=np.ones(n), inside=np.ones(n, bool))


def test_thirds_are_as_even_as_chance_has_it_or_not() -> None:
    fine = covered((0.8, 0.8, 0.8), 120)
    assert evenness({"Tg": fine}) == pytest.approx((0, 3, 1))
    off = covered((0.6, 0.8, 1.0), 120)  # 40 units a third: +-8 of 32, whose standard deviation is sqrt(6.4)
    # chi-squared of 3 degrees of freedom beyond x: erfc(sqrt(x / 2)) + sqrt(2 x / pi) exp(-x / 2)
    beyond = math.erfc(math.sqrt(10)) + math.sqrt(40 / math.pi) * math.exp(-10)
    assert evenness({"Tg": off, "Tm": covered((0, 0, 0), 72), "selectivity_CO2_N2": off}) == pytest.approx((20, 3, beyond))
    assert evenness({}) == (0, 0, 1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Permeabilities of twelve held-out polymers: log10 P(CO2) = 2 and more, selectivity 10."""
    texts = list[str]()
    for first, second in combinations_with_replacement(range(1, 25), 2):
        unit = parse(f"*{'C' * first}O{'C' * second}S*")
        if len(texts) < 12 and isinstance(unit, RepeatUnit) and held_out(key(canonical(unit))):
            texts.append(unit.psmiles)
    rows = [
        {"psmiles": text, "property": f"p_{gas}_log10barrer", "value": base + 0.1 * i, "conflict": False}
        for i, text in enumerate(texts)
        for gas, base in (("co2", 2.0), ("n2", 1.0))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "properties_consensus.parquet")
    pc.write_csv(
        pa.Table.from_pylist([{"psmiles": "*CC*", "task": "none", "value": 1.0}]), tmp_path / "polync_training_tasks.csv"
    )
    return tmp_path


class Off:
    """Says of every polymer the same values, so much off in the middle."""

    properties = ("permeability_CO2", "permeability_N2")

    def __init__(self, off: float) -> None:
        self.off = off

    def predict(self, psmiles: Sequence[str], properties: Sequence[str]) -> list[dict[str, Prediction | None]]:
        means = {"permeability_CO2": 2.5 + self.off, "permeability_N2": 1.5 - self.off}
        return [{name: Prediction(mean=means[name], std=0.5, in_domain=True) for name in properties} for _ in psmiles]


def test_derived_properties_are_judged_from_measured_terms(data: Path) -> None:
    held = HeldOut(data)
    assert len(held.measured("selectivity_CO2_N2", TEST)) == 12
    found = held.judge([held.ask(Off(0.0))])
    assert found["selectivity_CO2_N2"].true == pytest.approx(1.0)
    assert found["selectivity_CO2_N2"].mean == pytest.approx(1.0)
    assert found["permeability_CO2"].errors.mae == pytest.approx(np.mean(np.abs(2 + 0.1 * np.arange(12) - 2.5)))
    # Robeson 2008: the distance above the line is log10(selectivity) - (log10 P - log10 k) / n
    values = found["robeson_CO2_N2"].true
    assert values == pytest.approx([1 - (2 + 0.1 * i - math.log10(30_967_000)) / -2.888 for i in range(12)])


def test_opposite_errors_cancel_together(data: Path) -> None:
    held, lines = HeldOut(data), list[str]()
    told = {"high": held.ask(Off(0.3)), "low": held.ask(Off(-0.3))}
    figures = evaluate_consensus(held, told, lines.append)
    selectivity = figures["selectivity_CO2_N2"]
    assert selectivity["together"]["mae"] == pytest.approx(0, abs=1e-9)
    assert selectivity["high"]["mae"] == selectivity["low"]["mae"] == pytest.approx(0.6)
    assert lines[0].startswith("| property | n | high: R2, MAE, coverage | low:")


def test_correlation_is_of_shared_units() -> None:
    assert correlation({"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 2.0, "b": 4.0, "c": 6.0, "d": -9.0}) == pytest.approx(1)
    assert correlation({"a": 1.0, "b": 2.0}, {"a": -1.0, "b": -2.0, "e": 5.0}) == pytest.approx(-1)


def test_plots_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from campaigns.plots import adherence, chances, parity

    one = {"Tg": judged(50, 1.0), "density": judged(30, 0.5)}
    parity(one, tmp_path / "parity.png")
    chances(one, tmp_path / "chances.png")
    adherence(
        {"held out": {"r2": {"MolWt": 0.9, "RingCount": 0.8}}, "moved": {"r2": {"MolWt": 0.7, "RingCount": 0.6}}},
        tmp_path / "a.png",
    )
    for name in ("parity", "chances", "a"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_gases_are_offered_together_or_not_at_all() -> None:
    gases = [f"permeability_{gas}" for gas in ("O2", "N2", "CO2", "CH4", "H2", "He")]
    assert offer(["permeability_He", "density", "Tg", "permeability_CO2"]) == ["Tg", "density"]
    assert set(offer(["Tg", *gases])) == {"Tg", *gases}
