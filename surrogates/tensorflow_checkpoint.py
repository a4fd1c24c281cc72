"""Read a TensorFlow 2 checkpoint (`ckpt-N.index` and `.data-00000-of-00001`) without TensorFlow, and polyScreen from one.

The index is a LevelDB table of names to `BundleEntryProto` (tensorflow/core/protobuf/tensor_bundle.proto); the data
file holds the tensors back to back. Nothing in either is code.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_design.errors import ModelError
from surrogates.calibration import Z80, Calibration
from surrogates.graph_convolution import BATCH_NORM_AT_REST, MATRICES, PolyScreenNetwork
from surrogates.neighbours import Neighbours, fingerprints
from surrogates.polyscreen import CONVOLUTIONS, OTHERS, POLYIMIDES, save

TEST_RMSE: Final = 28.7
KINDS: Final = (POLYIMIDES, OTHERS)

_MAGIC: Final = 0xDB4775248B80FB57
_FOOTER: Final = 48
_FLOAT: Final = 1  # DT_FLOAT in tensorflow/core/framework/types.proto
_SUFFIX: Final = "/.ATTRIBUTES/VARIABLE_VALUE"

Tensor = NDArray[np.float32]


def read_checkpoint(prefix: Path) -> dict[str, Tensor]:
    """Return name -> tensor of every single-precision variable of the checkpoint `prefix`; raises ModelError."""
    index, data = (prefix.with_name(prefix.name + ending) for ending in (".index", ".data-00000-of-00001"))
    try:
        stored, content = index.read_bytes(), data.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(
            f"{error.filename}: no such file; a TensorFlow 2 checkpoint is a pair of .index and .data files"
        ) from error
    try:
        found = {}
        for name, value in _table(stored):
            entry = _fields(value)
            if not name.endswith(_SUFFIX) or entry.get(1) != [_FLOAT]:
                continue
            shape = (
                [_number(_fields(dim), 1) for dim in _fields(_bytes(entry, 2)).get(2, []) if isinstance(dim, bytes)]
                if 2 in entry
                else []
            )
            start, size = _number(entry, 4), _number(entry, 5)
            found[name.removesuffix(_SUFFIX)] = np.frombuffer(content[start : start + size], dtype="<f4").reshape(shape).copy()
    except (IndexError, ValueError, struct.error, UnicodeDecodeError) as error:
        raise ModelError(f"{index}: not the index of a TensorFlow 2 checkpoint ({error}); copy both files again") from error
    return found


def _table(stored: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield key and value of every entry of a LevelDB table."""
    if len(stored) < _FOOTER or struct.unpack("<Q", stored[-8:])[0] != _MAGIC:
        raise ValueError("no LevelDB table")
    at = len(stored) - _FOOTER
    for _ in range(2):  # the handle of the meta-index, which is skipped
        _, at = _varint(stored, at)
    for _, handle in _block(stored, *_handle(stored, at)):
        for key, value in _block(stored, *_handle(handle, 0)):
            yield key.decode(), value


def _handle(stored: bytes, at: int) -> tuple[int, int]:
    offset, at = _varint(stored, at)
    size, _ = _varint(stored, at)
    return offset, size


def _block(stored: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries of a block, whose keys leave out what they share with the key before."""
    if stored[offset + size] != 0:
        raise ValueError("a compressed block; TensorFlow writes none")
    block = stored[offset : offset + size]
    end = size - 4 * (struct.unpack("<I", block[-4:])[0] + 1)
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        yield key, block[at + fresh : at + fresh + length]
        at += fresh + length


def _varint(stored: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while stored[at] & 128:
        value |= (stored[at] & 127) << shift
        shift, at = shift + 7, at + 1
    return value | stored[at] << shift, at + 1


def _fields(message: bytes) -> dict[int, list[int | bytes]]:
    """Return field number -> values of a protocol buffer message."""
    fields: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = _varint(message, at)
        elif tag & 7 == 2:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        elif tag & 7 in (1, 5):
            length = 8 if tag & 7 == 1 else 4
            value, at = int.from_bytes(message[at : at + length], "little"), at + length
        else:
            raise ValueError(f"wire type {tag & 7}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _number(fields: dict[int, list[int | bytes]], number: int) -> int:
    """Return an integer field; 0 where it is left out, as protocol buffers do."""
    value = fields.get(number, [0])[0]
    if not isinstance(value, int):
        raise ValueError(f"field {number} is no integer")
    return value


def _bytes(fields: dict[int, list[int | bytes]], number: int) -> bytes:
    value = fields[number][0]
    if not isinstance(value, bytes):
        raise ValueError(f"field {number} is no message")
    return value


def polyscreen_network(prefix: Path, *, batch_norm_at_rest: bool = True) -> PolyScreenNetwork:
    """Return the authors' network from their checkpoint: DeepChem's GraphConvModel, output in degC; raises ModelError.

    batch_norm_at_rest: the authors train without batch normalisation and predict with one that was never trained, which
    multiplies the three hidden activations by 1/sqrt(1.001); False gives the network as it was trained.
    """
    factor = BATCH_NORM_AT_REST if batch_norm_at_rest else 1.0
    found = read_checkpoint(prefix)
    try:
        state = {
            f"{name}.{kind}": torch.from_numpy(
                np.stack([found[f"model/graph_convs/{layer}/{stored}{i}"] for i in range(MATRICES)])
            )
            for layer, name in enumerate(("first", "second"))
            for kind, stored in (("weight", "kernel"), ("bias", "bias"))
        }
        for name, stored in (("dense", "dense"), ("out", "regression_dense")):
            state |= {f"{name}.weight": torch.from_numpy(found[f"model/{stored}/kernel"].T.copy())}
            state |= {f"{name}.bias": torch.from_numpy(found[f"model/{stored}/bias"])}
        network = PolyScreenNetwork(width=state["first.bias"].shape[1], dense=len(state["dense.bias"]), factor=factor)
        network.load_state_dict(state)
    except (KeyError, RuntimeError, ValueError) as error:
        raise ModelError(f"{prefix}: not a checkpoint of DeepChem's GraphConvModel for one property ({error})") from error
    return network.eval()


def convert_polyscreen(prefix: Path, folder: Path, *, batch_norm_at_rest: bool = True) -> None:
    """Write a checkpoint of the authors, which every user has to get from them, as a folder for `PolyScreen.load`.

    It answers as their program does: the unit as it is written, in degC; the error bar is their test RMSE, 28.7 degC.
    """
    network = polyscreen_network(prefix, batch_norm_at_rest=batch_norm_at_rest)
    state = network.state_dict()
    shared = {f"0.{name}": value for name, value in state.items() if name.startswith(CONVOLUTIONS)}
    heads = {
        f"0.{kind}.{name}": value.clone() for kind in KINDS for name, value in state.items() if not name.startswith(CONVOLUTIONS)
    }
    folder.mkdir(parents=True, exist_ok=True)
    Neighbours(fingerprints([]), {}).save(folder / "neighbours.safetensors")
    save(
        folder,
        shared | heads,
        dict.fromkeys(KINDS, Calibration.constant(Z80 * TEST_RMSE)),
        members=1,
        width=state["first.bias"].shape[1],
        dense=len(state["dense.bias"]),
        mean=0.0,
        scale=1.0,
        factor=network.factor,
        frame="written",
    )
