"""Training on a handful of polymers: the table, the split of its folds, and that a network learns."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
import torch

from surrogates.evaluation import balanced_accuracy
from surrogates.graph_convolution import PolyScreenNetwork
from surrogates.train_polyscreen import Schedule, Table, fit, read_table

KAPTON = "*N1C(=O)c2cc3c(cc2C1=O)C(=O)N(c1ccc(Oc2ccc(*)cc2)cc1)C3=O"
SHIFTED = "*c1ccc(Oc2ccc(-n3c(=O)c4cc5c(=O)n(*)c(=O)c5cc4c3=O)cc2)cc1"
OTHERS = ["*CC(*)c1ccccc1", "*CC(*)C(=O)OC", "*CCCCCC(=O)O*", "*Oc1ccc(*)cc1", "*CC(*)C#N", "*NCCCCCC(*)=O"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"psmiles": text, "property": "tg_c", "value": 10.0 * i} for i, text in enumerate([KAPTON, *OTHERS])]
    rows += [{"psmiles": "*CC*", "property": "tm_c", "value": 130.0}, {"psmiles": "junk", "property": "tg_c", "value": 0.0}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "properties_consensus.parquet")
    theirs = [{"psmiles": SHIFTED, "tg_c": 360.0}, {"psmiles": "*c1ccc(N2C(=O)c3ccc(*)cc3C2=O)cc1", "tg_c": 400.0}]
    pc.write_csv(pa.Table.from_pylist(theirs), tmp_path / "polyimide_tg.csv")
    return tmp_path


def test_one_row_a_repeat_unit_whatever_its_frame(data: Path) -> None:
    table = read_table(data)
    assert len(table.units) == len(set(table.keys)) == len(OTHERS) + 2
    assert table.tg.tolist() == [0, 10, 20, 30, 40, 50, 60, 400]
    assert table.polyimide.tolist() == [True, *[False] * 6, True]
    assert [value for value in table.authors.tolist() if value == value] == [360, 400]


def test_kapton_is_held_out(data: Path) -> None:
    table = read_table(data)
    assert table.held_out[0]
    assert not (table.held_out & table.calibration).any()
    assert set(table.fold.tolist()) <= set(range(5))


def test_a_network_learns_a_handful_by_heart_and_the_same_way_twice(data: Path) -> None:
    table = read_table(data)
    targets, rows = (table.tg - 100) / 100, np.arange(len(table.units))
    first, second = (learned(table, targets, rows) for _ in range(2))
    assert float(np.median(np.abs(first - targets))) < 0.1  # the one far from all others counts little (Huber)
    np.testing.assert_array_equal(first, second)


def learned(table: Table, targets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    from surrogates.polyscreen import forward

    torch.manual_seed(0)
    network = fit(PolyScreenNetwork(width=16, dense=16), table, targets, rows, rows, Schedule(epochs=60, rate=1e-2, batch=4), 0)
    return forward(network, table.canonical_graphs(rows))


def test_every_class_of_heat_resistance_counts_alike() -> None:
    true = np.array([250.0, 299.9, 300.0, 399.9, 400.0, 500.0])
    said = np.array([100.0, 310.0, 305.0, 395.0, 410.0, 420.0])
    assert balanced_accuracy(said, true) == pytest.approx((0.5 + 1 + 1) / 3)
