"""Pre-flight checks against closed forms, and on specs that a chemist would call easy, at odds, and hopeless."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from campaigns.preflight import preflight
from inverse_design.reference.measured import Measured, table
from inverse_design.spec import CampaignSpec

ROOT = Path(__file__).parents[2]


def levels(*targets: dict[str, object], **more: object) -> dict[str, str]:
    spec = CampaignSpec.model_validate({"schema": 1, "name": "x", "targets": list(targets)} | more)
    return {row["check"].partition(": ")[2] or row["check"]: row["level"] for row in preflight(spec, ROOT)}


def test_an_easy_target_is_green_throughout() -> None:
    assert set(levels({"property": "Tg", "min": 150}).values()) == {"green"}


def test_a_window_narrower_than_the_error_is_red() -> None:
    spec = CampaignSpec.model_validate({"schema": 1, "name": "x", "targets": [{"property": "Tg", "range": [200, 210]}]})
    row = next(row for row in preflight(spec, ROOT) if "resolution" in row["check"])
    assert row["level"] == "red"
    stored = [json.loads((ROOT / f"surrogates/weights/{name}/calibration.json").read_text()) for name in ("polync", "polyscreen")]
    kinds = [stored[0]["properties"]["Tg"], *(stored[1]["properties"][kind] for kind in ("polyimides", "others"))]
    least = min(std for kind in kinds for std in kind["inside"])
    assert f"probability {norm.cdf(5, 0, least) - norm.cdf(-5, 0, least):.2f} at most" in row["found"]


def test_beyond_anything_measured_is_red() -> None:
    assert levels({"property": "Tg", "min": 550})["measured polymers"] == "red"


def test_a_wide_band_gap_pulls_against_a_high_glass_transition() -> None:
    found = levels({"property": "Tg", "min": 150}, {"property": "bandgap_chain", "min": 5})
    assert found["Tg with bandgap_chain"] == "amber"
    assert levels({"property": "Tg", "min": 350}, {"property": "bandgap_chain", "min": 7.5})["base rate and budget"] == "red"


def test_the_copula_is_the_bivariate_normal_probability_for_normal_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 4000)
    text = table({name: {str(i): float(v) for i, v in enumerate(column)} for name, column in zip("ab", values.T, strict=True)})
    stored = json.loads(text)
    assert stored["pairs"][0]["rank_correlation"] == pytest.approx(6 / np.pi * np.arcsin(0.3), abs=0.03)  # Pearson 1907
    known = Measured(
        counts={"a": 4000, "b": 4000},
        quantiles={name: np.array(row["quantiles"]) for name, row in stored["properties"].items()},
        pairs={("a", "b"): (4000, stored["pairs"][0]["rank_correlation"])},
    )
    expected = multivariate_normal.cdf([-0.5, -0.5], cov=[[1, 0.6], [0.6, 1]])
    assert known.joint([("a", 0.5, np.inf), ("b", 0.5, np.inf)]) == pytest.approx(expected, abs=0.02)
    assert known.share(("a", -np.inf, 0.0)) == pytest.approx(0.5, abs=0.02)
