"""What the bundled models know of real polymers, as keys, fingerprints, descriptors and predicted properties; no structures."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from inverse_design.errors import ModelError

DESCRIPTORS: Final = Path(__file__).parent / "descriptors.safetensors"
ANSWERS: Final = Path(__file__).parent / "answers.safetensors"


def prior(classes: Collection[str] = ()) -> NDArray[np.int64]:
    """Return realistic prompts, (n, 15): descriptor vectors of polymers, of the given classes if any are given."""
    try:
        with safe_open(DESCRIPTORS, "np") as file:
            vectors: NDArray[np.int64] = file.get_tensor("descriptors").astype(np.int64)
            return vectors[_of(classes, file)]
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise ModelError(f"{DESCRIPTORS}: not a table of descriptors ({error}); reinstall, or build it anew") from error


def answers(classes: Collection[str] = ()) -> dict[str, tuple[NDArray[np.float64], float]]:
    """Return property -> values (n,) the bundled Gaussian process predicts for the polymers behind `prior(classes)`, in its
    rows and NaN out of its domain, and their typical standard error; see `surrogates.reference_answers`.
    """
    try:
        with safe_open(DESCRIPTORS, "np") as file, safe_open(ANSWERS, "np") as said:
            rows, mean, std = _of(classes, file), said.get_tensor("mean"), said.get_tensor("std")
            names = said.metadata()["properties"].split(",")
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise ModelError(f"{ANSWERS}: not a table of answers ({error}); reinstall, or build it anew") from error
    return {name: (mean[rows, place].astype(np.float64), float(std[place])) for place, name in enumerate(names)}


def _of(classes: Collection[str], file: Any) -> NDArray[np.bool_]:
    """Return which rows of the open table are of the given classes, all of them if none are given."""
    names = file.metadata()["classes"].split(",")
    wanted = [names.index(name) for name in classes if name in names] if classes else range(len(names))
    return np.isin(file.get_tensor("polymer_class"), list(wanted))
