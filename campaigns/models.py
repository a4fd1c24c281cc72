"""Names of models to what runs: bundled ones, or a folder with a checkpoint; one table, no registry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from inverse_design.errors import ModelError, Problem, SpecError
from inverse_design.protocols import Worker, WorkerSpec
from inverse_design.spec import CampaignSpec, nearest

ROOT: Final = Path(__file__).parents[1]
GENERATORS: Final = {"bundled:polytao": ROOT / "generators" / "weights" / "polytao"}
SURROGATES: Final = {
    "bundled:polync": ROOT / "surrogates" / "weights" / "polync",
    "bundled:polyscreen": ROOT / "surrogates" / "weights" / "polyscreen",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model folder that was found: its name in the spec, its kind, and the digest of its files."""

    name: str
    kind: str
    folder: Path
    digest: str


def find(name: str, bundled: dict[str, Path], base: Path) -> Model:
    """Return the model of that name; ModelError, naming what to do, where there is none. Paths are relative to `base`."""
    folder = bundled.get(name)
    if folder is None:
        if name.startswith("bundled:"):
            raise ModelError(f"no bundled model {name!r}{nearest(name, bundled) or '; bundled: ' + ', '.join(bundled)}")
        folder = base / name
        if not folder.is_dir():
            raise ModelError(f"{name}: no such folder; name a bundled model ({', '.join(bundled)}) or a folder with a checkpoint")
    config = folder / "config.json"
    try:
        facts = json.loads(config.read_text(encoding="utf-8"))
        digest = hashlib.sha256()
        for path in sorted(folder.iterdir()):
            if path.suffix in (".json", ".safetensors", ".model"):
                digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder}: no config.json; name a folder with config.json, model.safetensors and tokenizer.json"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{config}: cannot be read ({error}); copy the model folder again") from error
    kind = "t5" if isinstance(facts, dict) and facts.get("model_type") == "t5" else "graph"
    return Model(name=name, kind=kind, folder=folder, digest=digest.hexdigest())


def offered(model: Model) -> tuple[str, ...]:
    """Return the properties a surrogate answers, without loading it."""
    path = model.folder / "calibration.json"
    if path.exists():
        try:
            return tuple(json.loads(path.read_text(encoding="utf-8"))["offered"])
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: not a calibration ({error!r}); copy the model folder again") from error
    if model.kind == "t5":
        from surrogates.polync import PUBLISHED

        return tuple(PUBLISHED)
    return ("Tg",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The models of a campaign, found and checked against its targets."""

    generator: Model
    surrogates: dict[str, Model]
    properties: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, spec: CampaignSpec, base: Path) -> Cast:
        """Find every model of a spec; SpecError where no surrogate answers a target, ModelError where one is missing."""
        generator = find(spec.generator.model, GENERATORS, base)
        models = {_short(choice.model): find(choice.model, SURROGATES, base) for choice in spec.surrogates}
        answers = {name: offered(model) for name, model in models.items()}
        wanted = [target.property for target in spec.targets]
        problems = []
        for index, name in enumerate(wanted):
            if not any(name in properties for properties in answers.values()):
                known = ", ".join(sorted({item for properties in answers.values() for item in properties}))
                problems.append(
                    Problem(
                        where=f"targets.{index}.property", message=f"no surrogate answers {name!r}; these can be asked: {known}"
                    )
                )
        if problems:
            raise SpecError(problems)
        asked = {name: tuple(item for item in wanted if item in properties) for name, properties in answers.items()}
        used = {name: properties for name, properties in asked.items() if properties}
        return cls(generator=generator, surrogates={name: models[name] for name in used}, properties=used)

    def digests(self) -> dict[str, str]:
        """Return name -> digest of every model, for the manifest."""
        return {model.name: model.digest for model in (self.generator, *self.surrogates.values())}

    def generator_worker(self, spec: CampaignSpec) -> WorkerSpec:
        """Return how to build the generator."""
        choice = spec.generator
        sampling = {"temperature": choice.temperature, "top_k": choice.top_k, "top_p": choice.top_p}
        return WorkerSpec(
            factory="campaigns.models:generator", arguments={"folder": str(self.generator.folder), "sampling": sampling}
        )

    def surrogate_workers(self) -> dict[str, WorkerSpec]:
        """Return how to build each surrogate."""
        return {
            name: WorkerSpec(
                factory="campaigns.models:surrogate",
                arguments={
                    "name": name,
                    "kind": model.kind,
                    "folder": str(model.folder),
                    "properties": list(self.properties[name]),
                },
            )
            for name, model in self.surrogates.items()
        }


def _short(name: str) -> str:
    """Return a name for stages and columns: letters, digits, `_` and `.`."""
    tail = name.removeprefix("bundled:").rstrip("/").rsplit("/", 1)[-1]
    return "".join(letter if letter.isalnum() or letter in "_." else "_" for letter in tail)


def generator(folder: str, sampling: dict[str, Any]) -> Worker:
    """Build a generator in whatever process it runs."""
    from generators.polytao import PolyTAO
    from inverse_design.text2text.sampling import Sampling
    from inverse_design.workers import GeneratorWorker

    return GeneratorWorker(generator=PolyTAO.load(Path(folder), Sampling(**sampling)))


def surrogate(name: str, kind: str, folder: str, properties: list[str]) -> Worker:
    """Build a surrogate in whatever process it runs."""
    from inverse_design.workers import SurrogateWorker

    return SurrogateWorker(name=name, surrogate=_LOADERS[kind](Path(folder)), properties=tuple(properties))


def _polync(folder: Path) -> Any:
    from surrogates.polync import PolyNC

    return PolyNC.load(folder)


def _polyscreen(folder: Path) -> Any:
    from surrogates.polyscreen import PolyScreen

    return PolyScreen.load(folder)


_LOADERS: Final[dict[str, Callable[[Path], Any]]] = {"t5": _polync, "graph": _polyscreen}
