"""A Gaussian process per property with the Tanimoto kernel on atom environments: trained in minutes, exact, with its own error bar.

Kernel: Ralaivola et al., Neural Netw. 18:1093 (2005); for molecules, GAUCHE, Griffiths et al., NeurIPS 2023. A second
part compares what units are made of and decays slowly, for polymers that share few environments. The mean is
that of the whole training set; the variance is conditioned on the nearest training units alone (Vecchia, J. R. Stat.
Soc. B 50:297, 1988), which needs no matrix to be shipped and hardly differs where the kernel decays fast.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse

from inverse_design.errors import ModelError
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Prediction
from surrogates.calibration import Calibration
from surrogates.environments import BITS, Environments

NEIGHBOURS: Final = 12
BATCH: Final = 256
_STORED: Final = {"data": np.float32, "indices": np.int64, "indptr": np.int64}

Floats = NDArray[np.float64]
Compared = tuple[NDArray[np.float32], NDArray[np.float32], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is expected of a unit, mean + slope * its density without free volume (g/cm3); the standard deviation of the values
    around that, and, in its units, the variances that go with similar environments, with a like composition, and with noise."""

    mean: float
    scale: float
    similar: float
    alike: float
    noise: float
    slope: float = 0.0

    def expected(self, filled: Floats) -> Floats:
        """Return what is expected of units of these densities without free volume (n,)."""
        return self.mean + self.slope * filled

    def kernel(self, similarity: NDArray[np.float32], alike: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the covariance, noise left out, of units so similar and so much alike; any shape."""
        return np.float32(self.similar) * similarity + np.float32(self.alike) * alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One property: its training units (n), and the weights (n,) of their covariances in the mean."""

    prior: Prior
    units: Environments
    weights: NDArray[np.float32]

    def answer(self, asked: Environments) -> tuple[Floats, Floats, Floats]:
        """Return posterior mean and predictive standard deviation, not yet calibrated, and similarity to the nearest training unit; each (q,)."""
        return self.judge(self.compared(asked))

    def compared(self, asked: Environments) -> Compared:
        """Return how similar, and how much alike, the units asked for (q) and the training units (n) are, each (q, n), and the densities
        without free volume of those asked for, (q,)."""
        return asked.similarity(self.units), asked.alike(self.units), asked.filled

    def judge(self, compared: Compared) -> tuple[Floats, Floats, Floats]:
        """Return what `answer` does, from what `compared` returns; processes of the same units share that."""
        similarity, alike, filled = compared
        kernel = self.prior.kernel(similarity, alike)
        return self._mean(kernel, filled), self.spread(kernel), similarity.max(axis=1).astype(np.float64)

    def mean(self, asked: Environments) -> Floats:
        """Return the posterior mean alone, (q,)."""
        similarity, alike, filled = self.compared(asked)
        return self._mean(self.prior.kernel(similarity, alike), filled)

    def _mean(self, kernel: NDArray[np.float32], filled: Floats) -> Floats:
        return self.prior.expected(filled) + self.prior.scale * np.asarray(kernel @ self.weights, np.float64)

    def spread(self, kernel: NDArray[np.float32]) -> Floats:
        """Return the predictive standard deviation, noise included; kernel: covariances (q, n) with the training units."""
        count = min(NEIGHBOURS, kernel.shape[1])
        near = np.argpartition(-kernel, count - 1, axis=1)[:, :count]
        own = np.take_along_axis(kernel, near, axis=1).astype(np.float64)
        solved = np.linalg.solve(self._between(near) + self.prior.noise * np.eye(count), own[..., None])[..., 0]
        prior = self.prior.similar + self.prior.alike
        left = np.maximum(prior - np.sum(own * solved, axis=1), 0.0) + self.prior.noise
        return np.asarray(self.prior.scale * np.sqrt(left), np.float64)

    def _between(self, near: NDArray[np.int64]) -> Floats:
        """Return the covariances of the training units in each row of `near` (q, k) with each other; shape (q, k, k)."""
        rows = self.units[near.ravel()]
        packed = np.packbits(rows.bits.toarray() > 0, axis=1).view(np.uint64).reshape(*near.shape, -1)
        sizes = np.bitwise_count(packed).sum(-1, dtype=np.int64)
        common = np.stack(
            [np.bitwise_count(packed & packed[:, i, None]).sum(-1, dtype=np.int64) for i in range(near.shape[1])], axis=1
        )
        shares = rows.shares.toarray().reshape(*near.shape, -1)
        alike = np.exp(shares @ shares.swapaxes(1, 2) - 1.0)
        return self.prior.kernel(common / (sizes[:, :, None] + sizes[:, None] - common), alike).astype(np.float64)


class TanimotoGP:
    """Frozen Gaussian processes, one a property, with calibrated error bars."""

    def __init__(
        self, processes: Mapping[str, Process], calibrations: Mapping[str, Calibration], properties: Sequence[str]
    ) -> None:
        self.processes = dict(processes)
        self.calibrations = dict(calibrations)
        self.properties = tuple(properties)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model folder: config.json, model.safetensors, calibration.json; raises ModelError."""
        weights, again = folder / "model.safetensors", "copy the model folder again"
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            stored = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
            if hashlib.sha256(weights.read_bytes()).hexdigest() != config["sha256"]:
                raise ModelError(f"{weights}: its SHA-256 is not the one in config.json; {again}")
            tensors = load_file(weights)
            units = Environments(
                **{
                    part: sparse.csr_array(
                        tuple(tensors[f"{part}.{kind}"].astype(kind_of) for kind, kind_of in _STORED.items()),
                        shape=(len(tensors[f"{part}.indptr"]) - 1, BITS),
                    )
                    for part in ("bits", "shares")
                },
                filled=tensors["filled"].astype(np.float64),
            )
            shared: dict[bytes, Environments] = {}  # properties fitted together have the same units
            processes = {}
            for name, prior in config["properties"].items():
                rows = tensors[f"{name}.units"]
                if rows.tobytes() not in shared:
                    shared[rows.tobytes()] = units[rows]
                own = shared[rows.tobytes()]
                processes[name] = Process(prior=Prior(**prior), units=own, weights=tensors[f"{name}.weights"])
            calibrations = {name: Calibration.from_dict(values) for name, values in stored["properties"].items()}
            return cls(processes, calibrations, [str(name) for name in stored["offered"]])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, IndexError) as error:
            raise ModelError(
                f"{folder}: not a whole model folder with config.json, model.safetensors and calibration.json ({error!r}); {again}"
            ) from error

    def predict(self, psmiles: Sequence[str], properties: Sequence[str]) -> list[dict[str, Prediction | None]]:
        """Return, per repeat unit, a calibrated answer for each named property; None for what is no repeat unit, or out of
        physical range. The same for every frame, direction and multiple of a unit. Raises ModelError for another property.
        """
        for name in properties:
            if name not in self.calibrations:
                raise ModelError(f"tanimoto does not answer {name!r}; this model answers {', '.join(self.calibrations)}")
        results: list[dict[str, Prediction | None]] = [dict.fromkeys(properties) for _ in psmiles]
        parsed = [(row, unit) for row, unit in enumerate(map(parse, psmiles)) if isinstance(unit, RepeatUnit)]
        for start in range(0, len(parsed), BATCH):
            block = parsed[start : start + BATCH]
            asked = Environments.of([unit.mol for _, unit in block])
            compared: dict[int, Compared] = {}
            for name in properties:
                item, calibration, process = PROPERTIES[name], self.calibrations[name], self.processes[name]
                if id(process.units) not in compared:
                    compared[id(process.units)] = process.compared(asked)
                answers = process.judge(compared[id(process.units)])
                for (row, _), raw in zip(block, zip(*answers, strict=True), strict=True):
                    mean, spread, near = map(float, raw)
                    answer = calibration.predict(mean, near, spread)
                    if item.low <= answer.mean <= item.high:
                        results[row][name] = answer
        return results


def save(folder: Path, units: Environments, fitted: Mapping[str, tuple[Prior, NDArray[np.int32], NDArray[np.float32]]]) -> None:
    """Write model.safetensors and config.json; units: all training units; fitted: property -> prior, rows of `units`, weights."""
    tensors: dict[str, NDArray[Any]] = {"filled": units.filled.astype(np.float32)}
    # Shares in full: with large weights, a kernel that differs in the fourth digit is another kernel.
    for part, matrix, kind in (("bits", units.bits, np.uint8), ("shares", units.shares, np.float32)):
        tensors |= {
            f"{part}.data": matrix.data.astype(kind),
            f"{part}.indices": matrix.indices.astype(np.uint16),
            f"{part}.indptr": matrix.indptr.astype(np.int32),
        }
    for name, (_, rows, weights) in fitted.items():
        tensors |= {f"{name}.units": rows, f"{name}.weights": weights}
    save_file(tensors, folder / "model.safetensors")
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    config = {
        "model_type": "tanimoto",
        "properties": {name: asdict(prior) for name, (prior, _, _) in fitted.items()},
        "sha256": digest,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
