"""The authors' checkpoint, where it is at hand, against three of their published predictions; and files that are none."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from inverse_design.errors import ModelError
from inverse_design.polymer import RepeatUnit, parse
from surrogates.graph import batch, features, graph
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


def varint(number: int) -> bytes:
    return bytes([number & 127 | 128]) + varint(number >> 7) if number > 127 else bytes([number])


def table_block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A LevelDB block: each key without what it shares with the one before, one restart point, its type and checksum."""
    block, before = b"", b""
    for key, value in entries:
        shared = next((i for i, (a, b) in enumerate(zip(before, key, strict=False)) if a != b), min(len(before), len(key)))
        block += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return block + struct.pack("<II", 0, 1) + bytes(5)


def write_checkpoint(prefix: Path, tensors: dict[str, np.ndarray]) -> None:
    """Write a TensorFlow 2 checkpoint as its tensor bundle is specified: the tensors in order, then a table of where they are."""
    content, entries = b"", [(b"", b"\x08\x01")]  # the header: one shard
    for name in sorted(tensors, key=str.encode):
        value = tensors[name].astype("<f4")
        dims = b"".join(b"\x12" + varint(len(size)) + size for size in (b"\x08" + varint(n) for n in value.shape))
        where = (b"\x20" + varint(len(content)) if content else b"") + b"\x28" + varint(value.nbytes) + b"\x35" + bytes(4)
        entries.append((f"{name}/.ATTRIBUTES/VARIABLE_VALUE".encode(), b"\x08\x01\x12" + varint(len(dims)) + dims + where))
        content += value.tobytes()
    index, handles = b"", []
    for start in range(0, len(entries), 30):
        block = table_block(entries[start : start + 30])
        handles.append((entries[start : start + 30][-1][0], varint(len(index)) + varint(len(block) - 5)))
        index += block
    meta, last = table_block([]), table_block(handles)
    footer = varint(len(index)) + varint(len(meta) - 5) + varint(len(index) + len(meta)) + varint(len(last) - 5)
    index += meta + last + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    prefix.with_name(f"{prefix.name}.index").write_bytes(index)
    prefix.with_name(f"{prefix.name}.data-00000-of-00001").write_bytes(content)


def deepchem_tensors() -> dict[str, np.ndarray]:
    """Weights with the names and shapes of the authors' checkpoint."""
    rng = np.random.default_rng(0)
    tensors = {"save_counter": np.float32(1)}
    for layer, inputs in enumerate((75, 64)):
        for i in range(21):
            tensors[f"model/graph_convs/{layer}/kernel{i}"] = rng.normal(size=(inputs, 64)) / inputs**0.5
            tensors[f"model/graph_convs/{layer}/bias{i}"] = rng.normal(size=64)
    for name, shape in (("dense", (64, 128)), ("regression_dense", (256, 1))):
        tensors |= {f"model/{name}/kernel": rng.normal(size=shape), f"model/{name}/bias": rng.normal(size=shape[1])}
    return {name: np.asarray(value, dtype="f4") for name, value in tensors.items()}


def by_hand(tensors: dict[str, np.ndarray], text: str, factor: float) -> float:
    """The authors' network, an atom at a time."""
    unit = parse(text)
    assert isinstance(unit, RepeatUnit)
    near = [[other.GetIdx() for other in atom.GetNeighbors()] for atom in unit.mol.GetAtoms()]
    one = graph(unit.mol)
    assert one is not None
    atoms = list(features(one.atoms).astype(float))
    for layer in (0, 1):
        weight, bias = ([tensors[f"model/graph_convs/{layer}/{name}{i}"] for i in range(21)] for name in ("kernel", "bias"))
        summed = [sum(atoms[j] for j in others) for others in near]
        atoms = [
            factor * np.maximum(0, s @ weight[2 * d - 2] + bias[2 * d - 2] + a @ weight[2 * d - 1] + bias[2 * d - 1])
            for s, a, d in zip(summed, atoms, map(len, near), strict=True)
        ]
        atoms = [np.max([atoms[i], *(atoms[j] for j in others)], axis=0) for i, others in enumerate(near)]
    atoms = [factor * np.maximum(0, a @ tensors["model/dense/kernel"] + tensors["model/dense/bias"]) for a in atoms]
    molecule = np.tanh(np.concatenate([np.sum(atoms, axis=0), np.max(atoms, axis=0)]))
    return float((molecule @ tensors["model/regression_dense/kernel"] + tensors["model/regression_dense/bias"])[0])


@pytest.mark.parametrize("at_rest", [True, False])
def test_a_checkpoint_of_that_format_becomes_the_authors_network(tmp_path: Path, at_rest: bool) -> None:
    tensors = deepchem_tensors()
    write_checkpoint(tmp_path / "ckpt-7", tensors)
    found = read_checkpoint(tmp_path / "ckpt-7")
    assert found.keys() == tensors.keys()
    assert all(np.array_equal(found[name], tensors[name]) for name in tensors)
    convert_polyscreen(tmp_path / "ckpt-7", tmp_path / "made", batch_norm_at_rest=at_rest)
    answers = [row["Tg"] for row in PolyScreen.load(tmp_path / "made").predict(list(PREDICTED), ["Tg"])]
    expected = [by_hand(tensors, text, 1.001**-0.5 if at_rest else 1.0) for text in PREDICTED]
    assert [answer.mean for answer in answers if answer] == pytest.approx(expected, abs=1e-4)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"ckpt-1\.index: no such file"):
        read_checkpoint(tmp_path / "ckpt-1")


def test_text_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "ckpt-1.index").write_text("not a table, but long enough for the footer of one to be looked for")
    (tmp_path / "ckpt-1.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(ModelError, match="no LevelDB table"):
        read_checkpoint(tmp_path / "ckpt-1")
