"""What polyScreen's networks for other properties are taught, and how sure they are told to be."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from rdkit import Chem

from surrogates.calibration import Calibration
from surrogates.neighbours import Neighbours, fingerprints
from surrogates.observations import TRAIN
from surrogates.train_breadth import Tables, learned_from, read_tables, taught
from surrogates.volume import filled

ACRYLATES = [f"*CC(*)C(=O)O{'C' * n}" for n in range(2, 14)]
NEW = "*CC(*)C(=O)OCCCCCCCCC(C)C"


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    rows = [("density_gcm3", text, 1.2 - 0.02 * i) for i, text in enumerate(ACRYLATES)]
    rows += [("egc_ev", text, 6.0 + 0.1 * i) for i, text in enumerate(ACRYLATES[:9])]
    rows += [("tg_c", "*CC(*)CCCCCCC", -40.0), ("tg_c", "*CC(*)CCCCCC", -35.0), ("density_gcm3", "*CC(*)c1ccccc1", 1.05)]
    found = [{"psmiles": text, "property": column, "value": value, "conflict": False} for column, text, value in rows]
    pq.write_table(pa.Table.from_pylist(found), tmp_path / "properties_consensus.parquet")
    pc.write_csv(pa.table({"psmiles": ["*CC*"], "task": ["other"], "value": [1.0]}), tmp_path / "polync_training_tasks.csv")
    pq.write_table(pa.table({"psmiles": [NEW], "source": ["known"]}), tmp_path / "structures.parquet")
    return read_tables(tmp_path, 5)


def test_every_property_but_the_glass_transition_is_a_column(tables: Tables) -> None:
    assert set(tables.scales) == {"density", "bandgap_chain"}
    assert len(tables.names) == len(ACRYLATES) + 2  # with polystyrene, which is held out, and the unmeasured one
    assert tables.measured == len(ACRYLATES) + 1
    assert tables.names[-1].count("C") == NEW.count("C")
    assert int(np.sum(tables.part == TRAIN)) <= len(tables.names) - 1


def test_a_network_is_shown_measured_values_and_the_word_of_those_who_know_no_more(tables: Tables) -> None:
    train = np.flatnonzero((tables.part == TRAIN) & (np.arange(len(tables.names)) < tables.measured))
    rows, left, more = train[:-2], train[-2:], np.array([len(tables.names) - 1])
    targets = taught(tables, rows, more, lambda _: None)
    measured = {text: dict(zip(one.units, one.values, strict=True)) for text, one in tables.observed.items()}
    assert [slope != 0 for _, _, slope in tables.scales.values()] == [name == "density" for name in tables.scales]
    for column, (name, (mean, scale, slope)) in enumerate(tables.scales.items()):
        known = [row for row in rows if tables.names[row] in measured[name]]
        expected = [(measured[name][tables.names[row]] - slope * filled(tables.mols[row]) - mean) / scale for row in known]
        assert targets[known, column] == pytest.approx(expected)
        assert np.abs(targets[[*rows, *more], column]).max() < 4  # guessed ones stay near the values
        assert np.all(targets[more, column] != 0)
    assert np.all(targets[left] == 0)  # nothing is said of what a member leaves out


def test_only_what_was_learned_from_counts_as_near(tables: Tables) -> None:
    sets = learned_from(tables, fingerprints(tables.mols))
    for name, rows in tables.observed.items():
        train = [text for text in rows.units if tables.units[text].part == TRAIN]
        assert len(sets[name]) == len(train) > 5
    assert tables.units["*CC(*)c1ccccc1"].part != TRAIN


def test_training_sets_that_share_units_keep_them_once() -> None:
    texts = ["*CC(*)C", "*CC(*)CC", "*CC(*)CCC", "*CC(*)c1ccccc1"]
    bits = fingerprints([Chem.MolFromSmiles(text) for text in texts])
    joined = Neighbours.of({"first": bits[:3], "second": bits[1:]})
    apart = Neighbours(bits, {"first": np.arange(3, dtype=np.int32), "second": np.arange(1, 4, dtype=np.int32)})
    assert len(joined.table) == len(texts)
    for name in ("first", "second"):
        np.testing.assert_array_equal(joined.nearest(bits, name), apart.nearest(bits, name))
    assert joined.nearest(bits, "first")[3] < 1


def test_errors_of_a_better_model_shrink_the_bars_and_leave_the_bias() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=400)
    shape = Calibration.fit(true + rng.normal(size=400), true, np.ones(400))
    better = shape.scaled(shape.relative(true + 0.5 * rng.normal(size=400), true, np.ones(400)))
    assert (better.knots, better.bias, better.edges) == (shape.knots, shape.bias, shape.edges)
    ratios = {round(new / old, 9) for new, old in zip(better.inside + better.outside, shape.inside + shape.outside, strict=True)}
    assert len(ratios) == 1
    predicted = true + 0.5 * rng.normal(size=400)
    bars = [better.predict(value, 1.0) for value in predicted.tolist()]
    covered = np.mean([abs(bar.mean - value) <= 1.2816 * bar.std for bar, value in zip(bars, true, strict=True)])
    assert covered == pytest.approx(0.8, abs=0.05)
