"""What each end of PolyNC's training and their average say: `python tests/benchmarks/snapshots.py DATA WORK`.

WORK is the folder that `inverse-design train polync --work WORK` was run in. Each is calibrated for itself; R2 and mean error on the
calibration part and on the part held out.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from inverse_design.polymer import RepeatUnit, parse
from inverse_design.text2text.vocabulary import read_tokenizer
from surrogates.evaluation import Errors, HeldOut, calibrate_polync
from surrogates.observations import CALIBRATION, TEST
from surrogates.polync import PolyNC
from surrogates.polyscreen import is_polyimide
from surrogates.train_polync import export, network

PROPERTIES = ("Tg", "bandgap_chain", "bandgap_crystal", "density", "atomization_energy", "thermal_conductivity")


def main() -> None:
    data, work = map(Path, sys.argv[1:])
    held = HeldOut(data)
    found = sorted(work.glob("snapshot-*.safetensors"), key=lambda path: int(path.stem.partition("-")[2]))
    for name, paths in [*((path.stem, [path]) for path in found), ("average", found)]:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(work / "tokenizer.json", folder)
            export(Path(folder), network(read_tokenizer(work / "tokenizer.json").get_vocab_size()), paths)
            calibrate_polync(data, Path(folder))
            model = PolyNC.load(Path(folder))
            for part, label in ((CALIBRATION, "calibration"), (TEST, "held out")):
                answers = held.ask(model, part)
                for item, judged in held.judge([answers], part).items():
                    if item in PROPERTIES:
                        print(f"{name}, {label}, {item}: {_cell(judged.errors)}", flush=True)
                    if item == "Tg":
                        imides = np.array(
                            [isinstance(unit := parse(text), RepeatUnit) and is_polyimide(unit) for text in judged.units]
                        )
                        print(f"{name}, {label}, Tg of polyimides: {_cell(judged.take(imides).errors)}", flush=True)


def _cell(errors: Errors) -> str:
    return f"n {errors.n}, R2 {errors.r2:.3f}, MAE {errors.mae:.3g}"


if __name__ == "__main__":
    main()
