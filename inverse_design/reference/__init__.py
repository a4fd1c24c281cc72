"""What the bundled models know of real polymers, as keys, fingerprints and descriptors; no structures."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from inverse_design.errors import ModelError

DESCRIPTORS: Final = Path(__file__).parent / "descriptors.safetensors"


def prior(classes: Collection[str] = ()) -> NDArray[np.int64]:
    """Return realistic prompts, (n, 15): descriptor vectors of polymers, of the given classes if any are given."""
    try:
        with safe_open(DESCRIPTORS, "np") as file:
            names = file.metadata()["classes"].split(",")
            vectors: NDArray[np.int64] = file.get_tensor("descriptors").astype(np.int64)
            classified = file.get_tensor("polymer_class")
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise ModelError(f"{DESCRIPTORS}: not a table of descriptors ({error}); reinstall, or build it anew") from error
    if not classes:
        return vectors
    wanted = [names.index(name) for name in classes if name in names]
    chosen: NDArray[np.int64] = vectors[np.isin(classified, wanted)]
    return chosen
