"""What the bundled Gaussian processes say of the polymers that prompts come from: `python -m surrogates.reference_answers DATA OUT`.

A campaign knows from it, before its first sample, where in descriptor space its targets are met. Writes answers.safetensors:
mean (m, p) float16, rows as in descriptors.safetensors, NaN where the process does not know its way; std (p,) float32, the
median error of a property in its domain. It is a start only: whatever models a campaign has judge what it generates.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from inverse_design.reference.build import by_source, prompted
from surrogates.tanimoto import TanimotoGP

WEIGHTS = Path(__file__).parent / "weights" / "tanimoto"


def build(data: Path, out: Path) -> None:
    """Write answers.safetensors into `out` for the structures in `data`; the same bytes every time."""
    model = TanimotoGP.load(WEIGHTS)
    names = model.properties
    means, stds = [], []
    for _, units in prompted(by_source(data)):
        for answer in model.predict([unit.psmiles for unit in units], names):
            known = [found if found is not None and found.in_domain else None for found in map(answer.get, names)]
            means.append([np.nan if found is None else found.mean for found in known])
            stds.append([np.nan if found is None else found.std for found in known])
    tensors = {"mean": np.array(means, np.float16), "std": np.nanmedian(np.array(stds), axis=0).astype(np.float32)}
    (out / "answers.safetensors").write_bytes(save(tensors, metadata={"properties": ",".join(names)}))


if __name__ == "__main__":
    build(*map(Path, sys.argv[1:3]))
