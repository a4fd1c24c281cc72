"""What a text model has to beat: extra trees on counts of Morgan environments and the 15 descriptors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from sklearn.ensemble import ExtraTreesRegressor

from inverse_design.descriptors import realised
from surrogates.observations import TRAIN, Observations, Unit

_COUNTS = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)


def features(mols: list[Chem.Mol]) -> NDArray[np.float32]:
    """Return counts of 1,024 Morgan environments and the 15 descriptors; shape (n, 1039)."""
    return np.stack([np.concatenate([_COUNTS.GetCountFingerprintAsNumPy(mol), realised(mol)]).astype(np.float32) for mol in mols])


def forest(threads: int) -> ExtraTreesRegressor:
    """Return the regressor, not yet fitted."""
    return ExtraTreesRegressor(60, max_features=0.15, min_samples_leaf=2, n_jobs=threads, random_state=0)


def baseline(
    units: dict[str, Unit], rows: Observations, asked: list[str], x: dict[str, NDArray[np.float32]]
) -> NDArray[np.float64]:
    """Return what extra trees, fitted on the training part, say of `asked`; x: features of every repeat unit."""
    train = [i for i, text in enumerate(rows.units) if units[text].part == TRAIN and not rows.conflict[i]]
    model = forest(1).fit(np.stack([x[rows.units[i]] for i in train]), rows.values[train])
    return np.asarray(model.predict(np.stack([x[text] for text in asked])), dtype=np.float64)
