"""Which correlation of errors combines the bundled surrogates best, and how they do together, on the calibration part:
`python tests/benchmarks/combination.py DATA`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from campaigns.models import SURROGATES, load_surrogate
from inverse_design import target
from surrogates.consensus import evaluate_consensus
from surrogates.evaluation import HeldOut
from surrogates.observations import CALIBRATION

CORRELATIONS = (0.0, 0.3, 0.5, 0.7, 0.85)


def main() -> None:
    held = HeldOut(Path(sys.argv[1]))
    told = {}
    for short, folder in SURROGATES.items():
        model = load_surrogate(folder)
        answers = held.ask(model, CALIBRATION)
        told[short.removeprefix("bundled:")] = {name: own for name, own in answers.items() if name in model.properties}
    shared = [name for name in held.observations if sum(name in answers for answers in told.values()) > 1]
    chosen, errors = target.CORRELATED, {}
    for correlation in CORRELATIONS:
        target.CORRELATED = correlation
        judged = held.judge(list(told.values()), CALIBRATION)
        errors[correlation] = np.array([judged[name].errors.mae for name in shared])
    least = np.min(list(errors.values()), axis=0)
    print(
        f"mean error beside the least of the five, averaged over {len(shared)} properties of several surrogates; that of Tg, degC"
    )
    for correlation, found in errors.items():
        print(f"correlation {correlation}: {np.mean(found / least):.4f}; {found[shared.index('Tg')]:.2f}")
    print(f"\nwith {chosen}:")
    target.CORRELATED = chosen
    evaluate_consensus(held, told, print, CALIBRATION)


if __name__ == "__main__":
    main()
