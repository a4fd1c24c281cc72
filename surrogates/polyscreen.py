"""polyScreen: properties of a polymer from its graph, ensembles of the published network.

J. Mater. Chem. C 2023, doi 10.1039/D2TC05174E. The authors trained one network on the glass transition of polyimides; here each
member is trained on that of homopolymers of every class first, and then gets a second head, trained on polyimides alone. Other
polymers are answered by the first head, with error bars and a domain of their own. A second ensemble, of networks with one
output a property, answers all others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit import Chem
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from inverse_design.errors import ModelError
from inverse_design.polymer import RepeatUnit, canonical_units, parse
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Prediction
from inverse_design.structure import polymer_class
from surrogates.calibration import Calibration
from surrogates.graph import Graph, batch, graph
from surrogates.graph_convolution import PolyScreenNetwork
from surrogates.neighbours import Neighbours, fingerprints
from surrogates.volume import filled

BATCH: Final = 128
SMALLEST: Final = 6
"""Heavy atoms from which a repeat unit is answered: sums over the atoms of polyethylene tell nothing of a chain."""

POLYIMIDES, OTHERS = "polyimides", "others"
BREADTH: Final = "properties"
"""What tensors and config call the networks of every property but Tg."""
CONVOLUTIONS: Final = ("first.", "second.")

Floats = NDArray[np.float64]
Scale = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breadth:
    """Networks with one output a property; scales: property -> mean, standard deviation and slope, in the order of the outputs.

    An output is of value - slope * density without free volume (g/cm3), in standard deviations from the mean of that.
    """

    networks: Sequence[PolyScreenNetwork] = ()
    scales: Mapping[str, Scale] = field(default_factory=dict)

    def values(self, graphs: Sequence[Graph], filled: Floats) -> dict[str, Floats]:
        """Return property -> what each member says before calibration, in the property's unit, (members, n), of n graphs of units of
        these densities without free volume (n,)."""
        outputs = forwards(self.networks, graphs, len(self.scales))
        return {
            name: mean + slope * filled + scale * outputs[:, :, i]
            for i, (name, (mean, scale, slope)) in enumerate(self.scales.items())
        }


class PolyScreen:
    """Frozen ensembles: of Tg for polyimides, and for other polymers, with the same convolutions and another head; and of other properties."""

    def __init__(
        self,
        networks: Mapping[str, Sequence[PolyScreenNetwork]],
        mean: float,
        scale: float,
        calibrations: Mapping[str, Calibration],
        neighbours: Neighbours,
        frame: str = "canonical",
        breadth: Breadth | None = None,
        properties: Sequence[str] = ("Tg",),
    ) -> None:
        self.networks = {name: list(members) for name, members in networks.items()}
        self.mean, self.scale = mean, scale
        self.calibrations = dict(calibrations)
        self.neighbours = neighbours
        self.frame = frame
        self.breadth = breadth or Breadth()
        self.properties = tuple(properties)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model folder: config.json, model.safetensors, calibration.json, neighbours.safetensors; raises ModelError."""
        config, calibration = (_json(folder / name) for name in ("config.json", "calibration.json"))
        weights, again = folder / "model.safetensors", "copy the model folder again"
        try:
            mean, scale, frame = float(config["mean"]), float(config["scale"]), str(config["frame"])
            scales = {
                str(name): (float(mid), float(wide), float(slope)) for name, (mid, wide, slope) in config.get(BREADTH, {}).items()
            }
            if hashlib.sha256(weights.read_bytes()).hexdigest() != config["sha256"]:
                raise ModelError(f"{weights}: its SHA-256 is not the one in config.json; {again}")
            tensors = load_file(weights)
            ensembles = {kind: networks(tensors, config, kind) for kind in (POLYIMIDES, OTHERS)}
            breadth = Breadth(networks=networks(tensors, config, BREADTH), scales=scales) if scales else None
        except FileNotFoundError as error:
            raise ModelError(f"{weights}: no such file; copy the whole model folder") from error
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise ModelError(f"{weights}: not the weights that config.json describes ({error}); {again}") from error
        try:
            calibrations = {name: Calibration.from_dict(calibration["properties"][name]) for name in (*ensembles, *scales)}
            offered = [str(name) for name in calibration["offered"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{folder / 'calibration.json'}: not a calibration ({error!r}); {again}") from error
        neighbours = Neighbours.load(folder / "neighbours.safetensors")
        return cls(ensembles, mean, scale, calibrations, neighbours, frame, breadth, offered)

    def predict(self, psmiles: Sequence[str], properties: Sequence[str]) -> list[dict[str, Prediction | None]]:
        """Return, per repeat unit, a calibrated answer for each named property, or None for what is no repeat unit, one of fewer than
        `SMALLEST` heavy atoms, or out of physical range.

        The answer is the same for every frame, direction and multiple of a unit, but for a converted checkpoint of the
        authors, which sees the unit as it is written. Raises ModelError for another property.
        """
        known = ("Tg", *self.breadth.scales)
        for name in properties:
            if name not in known:
                raise ModelError(f"polyScreen does not answer {name!r}; it answers {', '.join(known)}")
        parsed = [parse(text) for text in psmiles]
        valid = [i for i, unit in enumerate(parsed) if isinstance(unit, RepeatUnit)]
        units = [unit for unit in parsed if isinstance(unit, RepeatUnit)]
        if self.frame == "canonical":
            units = canonical_units(units)
        answers: list[dict[str, Prediction | None]] = [dict.fromkeys(properties) for _ in psmiles]
        for i, answer in zip(valid, self.answer(units, properties), strict=True):
            answers[i] = answer
        return answers

    def answer(self, units: Sequence[RepeatUnit], properties: Sequence[str] = ("Tg",)) -> list[dict[str, Prediction | None]]:
        """Return the calibrated answers for repeat units in the frame they have."""
        graphs = [graph(unit.mol) if unit.mol.GetNumHeavyAtoms() >= SMALLEST else None for unit in units]
        rows = [i for i, one in enumerate(graphs) if one is not None]
        seen = [one for one in graphs if one is not None]
        bits = fingerprints([units[i].mol for i in rows])
        answers: list[dict[str, Prediction | None]] = [dict.fromkeys(properties) for _ in units]

        def tell(name: str, group: str, chosen: Sequence[int], values: Floats) -> None:
            item, calibration = PROPERTIES[name], self.calibrations[group]
            near = self.neighbours.nearest(bits[list(chosen)], group)
            for place, value, similar in zip(chosen, values.mean(axis=0).tolist(), near.tolist(), strict=True):
                answer = calibration.predict(value, similar)
                if item.low <= answer.mean <= item.high:
                    answers[rows[place]][name] = answer

        if "Tg" in properties:
            kinds = [POLYIMIDES if is_polyimide(units[i]) else OTHERS for i in rows]
            for kind in self.networks:
                chosen = [place for place, own in enumerate(kinds) if own == kind]
                tell("Tg", kind, chosen, self.members([seen[place] for place in chosen], kind))
        if others := [name for name in properties if name != "Tg"]:
            values = self.breadth.values(seen, np.array([filled(units[i].mol) for i in rows]))
            for name in others:
                tell(name, name, range(len(seen)), values[name])
        return answers

    def members(self, graphs: Sequence[Graph], kind: str) -> Floats:
        """Return what each member says before calibration, degC; shape (members, n)."""
        values: Floats = self.mean + self.scale * forwards(self.networks[kind], graphs, 1)[:, :, 0]
        return values


def forward(network: PolyScreenNetwork, graphs: Sequence[Graph]) -> Floats:
    """Return the output of a network for each graph, in order; shape (n,), or (n, outputs) where there are several."""
    outputs = network.out.out_features
    values: Floats = forwards([network], graphs, outputs)[0]
    return values[:, 0] if outputs == 1 else values


def forwards(networks: Sequence[PolyScreenNetwork], graphs: Sequence[Graph], outputs: int) -> Floats:
    """Return the outputs of several networks, which share the batches; shape (networks, n, outputs)."""
    # Similar sizes side by side share more atoms.
    order = sorted(range(len(graphs)), key=lambda i: len(graphs[i].atoms))
    values = np.zeros((len(networks), len(graphs), outputs))
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            shared = batch([graphs[i] for i in rows])
            for own, network in zip(values, networks, strict=True):
                own[rows] = network.eval()(shared).double().numpy().reshape(len(rows), outputs)
    return values


def is_polyimide(unit: RepeatUnit) -> bool:
    """Return whether an imide nitrogen is part of the backbone; the cheap pattern spares most polymers the full question."""
    return unit.mol.HasSubstructMatch(_imide()) and polymer_class(unit) == "polyimide"


@cache
def _imide() -> Chem.Mol:
    # RDKit perceives pyromellitic imides as aromatic, hence `#6`, `#7` and any bond.
    return Chem.MolFromSmarts("[#6X3](=O)~[#7X3]~[#6X3]=O")


def save(
    folder: Path,
    tensors: Mapping[str, torch.Tensor],
    calibrations: Mapping[str, Calibration],
    offered: Sequence[str] = ("Tg",),
    **config: Any,
) -> None:
    """Write model.safetensors, config.json with its SHA-256, and calibration.json; `config` is members, width, dense, mean,
    scale, factor, frame and, where there are other properties than Tg, their scales."""
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    written = json.dumps({"model_type": "polyscreen", **config, "sha256": digest}, indent=2)
    (folder / "config.json").write_text(written + "\n", encoding="utf-8")
    save_calibration(folder, calibrations, offered)


def save_calibration(folder: Path, calibrations: Mapping[str, Calibration], offered: Sequence[str]) -> None:
    """Write calibration.json; offered: the properties that are asked by default."""
    bars = {"offered": list(offered), "properties": {kind: one.to_dict() for kind, one in calibrations.items()}}
    (folder / "calibration.json").write_text(json.dumps(bars, indent=2) + "\n", encoding="utf-8")


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path}: no such file; a model folder holds config.json, model.safetensors and calibration.json"
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not JSON ({error}); copy the model folder again") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: not a JSON object; copy the model folder again")
    return values


def networks(tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any], kind: str) -> list[PolyScreenNetwork]:
    """Return the members for one kind of polymer: convolutions `0.first.weight`, heads `0.polyimides.dense.weight`; or, of kind
    `BREADTH`, those for other properties, whose convolutions are their own: `0.properties.first.weight`.

    Raises KeyError, RuntimeError, TypeError or ValueError where tensors and config don't fit.
    """
    members = []
    for member in range(int(config["members"])):
        network = PolyScreenNetwork(
            width=int(config["width"]),
            dense=int(config["dense"]),
            factor=float(config["factor"]),
            outputs=len(config[BREADTH]) if kind == BREADTH else 1,
        )
        names = {
            name: f"{member}.{name}" if name.startswith(CONVOLUTIONS) and kind != BREADTH else f"{member}.{kind}.{name}"
            for name in network.state_dict()
        }
        network.load_state_dict({name: tensors[stored].float() for name, stored in names.items()})
        members.append(network.eval())
    return members
