"""The authors' checkpoint, where it is at hand, against three of their published predictions; and files that are none."""

from pathlib import Path

import pytest
import torch

from inverse_design.errors import ModelError
from inverse_design.polymer import RepeatUnit, parse
from surrogates.graph import batch, graph
from surrogates.polyscreen import PolyScreen
from surrogates.tensorflow_checkpoint import convert_polyscreen, polyscreen_network, read_checkpoint

PREFIX = Path(__file__).parents[2] / "../shared/data/published/polyscreen2_ckpt-43"
published = pytest.mark.skipif(
    not PREFIX.with_name(PREFIX.name + ".index").exists(), reason="the authors' checkpoint is not at hand"
)

PREDICTED = {
    "O=C(N1[*])c2cc(C(C(F)(F)F)(C(F)(F)F)c3cc4c(C(N(c5ccc6c(N=C([C@H]7CC[C@H](C8=Nc9cc([*])ccc9O8)CC7)O6)c5)C4=O)=O)cc3)ccc2C1=O": 286.83923,
    "O=C(N1[*])C2CC3C(C(N(c4ccc5c(N=C([C@H]6CC[C@H](C7=Nc8c(O7)ccc([*])c8)CC6)O5)c4)C3=O)=O)CC2C1=O": 328.965,
    "O=C(N1[*])C2C(C(C(N3c4ccc5c(N=C([C@H]6CC[C@H](C(O7)=Nc8c7ccc([*])c8)CC6)O5)c4)=O)C2C3=O)C1=O": 337.2636,
}


@published
def test_the_authors_network_gives_their_predictions() -> None:
    network = polyscreen_network(PREFIX)
    units = [parse(text) for text in PREDICTED]
    graphs = [one for unit in units if isinstance(unit, RepeatUnit) and (one := graph(unit.mol)) is not None]
    with torch.inference_mode():
        values = network(batch(graphs)).tolist()
    assert values == pytest.approx(list(PREDICTED.values()), abs=5e-4)


@published
def test_a_converted_folder_gives_their_predictions(tmp_path: Path) -> None:
    convert_polyscreen(PREFIX, tmp_path / "converted")
    answers = [row["Tg"] for row in PolyScreen.load(tmp_path / "converted").predict(list(PREDICTED), ["Tg"])]
    assert [answer.mean for answer in answers if answer] == pytest.approx(list(PREDICTED.values()), abs=5e-4)
    assert [answer.std for answer in answers if answer] == pytest.approx([28.7] * 3)
    assert all(answer.in_domain for answer in answers if answer)


@published
def test_a_cut_index_is_refused(tmp_path: Path) -> None:
    content = PREFIX.with_name(PREFIX.name + ".index").read_bytes()
    (tmp_path / "ckpt-1.index").write_bytes(content[:-7])
    (tmp_path / "ckpt-1.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(ModelError, match="not the index of a TensorFlow 2 checkpoint"):
        read_checkpoint(tmp_path / "ckpt-1")


@published
def test_a_cut_data_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ckpt-1.index").write_bytes(PREFIX.with_name(PREFIX.name + ".index").read_bytes())
    (tmp_path / "ckpt-1.data-00000-of-00001").write_bytes(b"\0" * 1000)
    with pytest.raises(ModelError, match=r"ckpt-1\.index"):
        read_checkpoint(tmp_path / "ckpt-1")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"ckpt-1\.index: no such file"):
        read_checkpoint(tmp_path / "ckpt-1")


def test_text_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "ckpt-1.index").write_text("not a table, but long enough for the footer of one to be looked for")
    (tmp_path / "ckpt-1.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(ModelError, match="no LevelDB table"):
        read_checkpoint(tmp_path / "ckpt-1")
