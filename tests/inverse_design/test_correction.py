"""Corrections from measurements: closed forms against refitting, hand-made cases, and the promises they keep."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from inverse_design.correction import AFFINE, DOUBT, LOCAL, NONE, Correction, Form, Point, Residuals, packed, tanimoto
from inverse_design.lab import NOISE, Lab, Measured, Reading
from inverse_design.protocols import Prediction

UNITS = [f"*{'C' * n}O{'C' * m}*" for n in range(1, 5) for m in range(n, 7)]


def points(offset: float, noise: float, count: int = 18, seed: int = 0) -> list[Point]:
    rng = np.random.default_rng(seed)
    means = rng.uniform(100, 300, count)
    return [
        Point(
            canonical=UNITS[i],
            predicted=Prediction(mean=mean, std=30.0, in_domain=True),
            value=mean + offset + noise * rng.normal(),
            std=10.0,
        )
        for i, mean in enumerate(means)
    ]


@pytest.mark.parametrize("form", [NONE, AFFINE, LOCAL])
def test_leave_one_out_in_closed_form_is_leaving_one_out(form: Form) -> None:
    """Refitted without each point; centre, width and ends of the whole set are kept, as the closed form does."""
    every = points(20, 25)
    whole = Residuals(form, every, 50.0)
    errors, stds = whole.left_out()
    for left in (0, 7, 17):
        rest = Residuals(form, [one for i, one in enumerate(every) if i != left], 50.0)
        for name in ("_size", "_centre", "_width", "_ends"):
            setattr(rest, name, getattr(whole, name))
        keep = [i for i in range(len(every)) if i != left]
        rest._z, rest._bits = whole._z[keep], None if whole._bits is None else whole._bits[keep]
        noise = form.noise**2 * 900 + 100
        rest._inverse = np.linalg.inv(rest._kernel(rest._z, rest._bits) + noise * np.eye(len(keep)))
        rest._weights = rest._inverse @ whole._residuals[keep]
        mean, variance = rest.at(every[left].predicted, every[left].canonical)
        assert every[left].value - mean == pytest.approx(errors[left])
        assert math.sqrt(variance + 100) == pytest.approx(stds[left])


def test_a_constant_error_is_found_and_shrunk_by_the_textbook_formula() -> None:
    """Bayesian mean of n residuals: n / (n + noise variance / prior variance) of their mean, where the slope has nothing to say."""
    same = [
        Point(canonical=UNITS[i], predicted=Prediction(mean=200.0, std=30.0, in_domain=True), value=240.0, std=10.0)
        for i in range(8)
    ]
    shrink = 8 / (8 + (900 + 100) / (0.35 * 30) ** 2)
    assert Residuals(AFFINE, same, 50.0).at(same[0].predicted, "*CCCCCCCCO*")[0] == pytest.approx(200 + 40 * shrink)
    found = Correction.fit(same, 50.0)
    left_out = 40 * (1 - 7 / (7 + (900 + 100) / (0.35 * 30) ** 2))
    # Eight points: the odds against no correction are the fourth power of the ratio of errors, less what it is doubted by.
    assert found.shares["affine"] / found.shares["none"] == pytest.approx((40 / left_out) ** 4 * math.exp(-DOUBT))
    assert found.after < found.before == pytest.approx(40)


def test_few_or_faultless_measurements_change_no_mean() -> None:
    asked = Prediction(mean=123.0, std=30.0, in_domain=False)
    assert Correction.fit(points(80, 0)[:2], 50.0)(asked, UNITS[0]) == asked
    exact = [Point(canonical=one.canonical, predicted=one.predicted, value=one.predicted.mean, std=10.0) for one in points(0, 0)]
    found = Correction.fit(exact, 50.0)
    assert found(asked, UNITS[0]).mean == pytest.approx(123.0)
    assert not found(asked, UNITS[0]).in_domain
    assert found.widen == pytest.approx(math.sqrt(10 / 28))  # no error in 18, and the surrogate's own bars count for 10


@pytest.mark.parametrize("seed", range(6))
def test_never_worse_than_none_by_leave_one_out_and_the_same_in_any_order(seed: int) -> None:
    every = points(15 * seed, 30, seed=seed)
    found = Correction.fit(every, 50.0)
    assert found.after <= found.before
    again = Correction.fit(every[::-1], 50.0)
    assert again(every[3].predicted, UNITS[17]) == found(every[3].predicted, UNITS[17])


def test_errors_that_go_with_structure_are_corrected_where_they_are() -> None:
    fluorinated = [f"*{'C' * n}C(F)(F)C{'C' * m}*" for n in range(1, 4) for m in range(n, 5)][:9]
    every = [
        Point(canonical=unit, predicted=Prediction(mean=200.0 + i, std=30.0, in_domain=True), value=200.0 + i + shift, std=10.0)
        for shift, units in ((60, fluorinated), (0, UNITS[:9]))
        for i, unit in enumerate(units)
    ]
    found = Correction.fit(every, 50.0)
    assert found.shares["local"] > 0.5
    asked = Prediction(mean=205.0, std=30.0, in_domain=True)
    assert found(asked, "*CCCCC(F)(F)CC*").mean > 235
    assert abs(found(asked, "*CCCCCCOCC*").mean - 205) < 20


def test_tanimoto_is_that_of_rdkit() -> None:
    from rdkit import DataStructs

    bits = packed(UNITS[:5])
    vectors = [DataStructs.CreateFromBinaryText(bytes(row)) for row in bits]
    expected = [DataStructs.BulkTanimotoSimilarity(vector, vectors) for vector in vectors]
    assert tanimoto(bits, bits) == pytest.approx(np.array(expected))


def reading(value: float | None, bound: str = "", cell: str = "x", std: float | None = None) -> Reading:
    return Reading(canonical="*CC*", psmiles="*CC*", property="Tg", value=value, bound=bound, cell=cell, where="", std=std)  # type: ignore[arg-type]


def test_replicates_bounds_and_remarks() -> None:
    one = Measured.of([reading(210), reading(250), reading(None, cell="insoluble")], 50.0)
    assert (one.value, one.count, one.remarks) == (230, 2, ("insoluble",))
    assert one.std == pytest.approx(20)  # standard deviation 28.3 over the root of 2
    assert Measured.of([reading(210), reading(212)], 50.0).std == NOISE * 50
    predicted = Prediction(mean=100.0, std=40.0, in_domain=True)
    below = Measured.of([reading(60, "<")], 50.0).combined(predicted)
    assert below is not None
    alpha = (60 - 100) / 40  # truncated normal distribution in closed form
    ratio = norm.pdf(alpha) / norm.cdf(alpha)
    assert below.mean == pytest.approx(100 - 40 * ratio)
    assert below.std == pytest.approx(40 * math.sqrt(1 - alpha * ratio - ratio**2))
    far = Measured.of([reading(-100, "<")], 50.0).combined(Prediction(mean=400.0, std=20.0, in_domain=True))
    assert far is not None
    assert far.mean == -100


def test_a_measured_polymer_is_known_and_others_are_corrected() -> None:
    predicted = {unit: {"Tg": Prediction(mean=200.0, std=30.0, in_domain=True)} for unit in UNITS}
    told = [Reading(canonical=unit, psmiles=unit, property="Tg", value=250.0, cell="250", where="") for unit in UNITS[:10]]
    lab = Lab.of(
        [*told, Reading(canonical=UNITS[11], psmiles="", property="Tg", value=90, bound="<", cell="", where="")], predicted
    )
    assert lab.corrections["Tg"].measured == 10  # a bound corrects nothing
    known = lab.answer("Tg", UNITS[0], predicted[UNITS[0]]["Tg"])
    assert known == Prediction(mean=250.0, std=10.0, in_domain=True)
    other = lab.answer("Tg", UNITS[15], predicted[UNITS[15]]["Tg"])
    assert other is not None
    assert 210 < other.mean < 250
    assert lab.answer("Tm", UNITS[15], None) is None
