"""Names of models to what runs: bundled ones, or a folder with a checkpoint; one table, no registry."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import util
from itertools import count
from pathlib import Path
from typing import Any, Final

from campaigns import plugins, store
from inverse_design.errors import ModelError, Problem, SpecError
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Worker, WorkerSpec
from inverse_design.spec import CampaignSpec, GeneratorChoice, ModelChoice, SurrogateChoice, nearest
from inverse_design.text2text import MISSING

_LOG = logging.getLogger(__name__)
ROOT: Final = Path(__file__).parents[1]
GENERATORS: Final = {"bundled:polytao": ROOT / "generators" / "weights" / "polytao"}
SURROGATES: Final = {
    "bundled:polync": ROOT / "surrogates" / "weights" / "polync",
    "bundled:polyscreen": ROOT / "surrogates" / "weights" / "polyscreen",
    "bundled:tanimoto": ROOT / "surrogates" / "weights" / "tanimoto",
}


TIMEOUT, RETRIES = 300.0, 2  # of a program, where the spec says nothing


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
    if folder is None and name.startswith("hub:"):
        folder = store.located(name)
    elif folder is None:
        if name.startswith("bundled:"):
            raise ModelError(f"no bundled model {name!r}{nearest(name, bundled) or '; bundled: ' + ', '.join(bundled)}")
        folder = base / name
        if not folder.is_dir():
            raise ModelError(f"{name}: no such folder; name a bundled model ({', '.join(bundled)}) or a folder with a checkpoint")
    config = folder / "config.json"
    try:
        facts = json.loads(config.read_text(encoding="utf-8"))
        parts = {
            path.name: store.sha256(path)
            for path in sorted(folder.iterdir())
            if path.suffix in (".json", ".safetensors", ".model") and path.name != store.RECORD
        }
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder}: no config.json; name a folder with config.json, model.safetensors and tokenizer.json"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{config}: cannot be read ({error}); copy the model folder again") from error
    store.checked(folder, parts)
    digest = hashlib.sha256(b"".join(file.encode() + b"\0" + bytes.fromhex(part) for file, part in parts.items()))
    stated = facts.get("model_type") if isinstance(facts, dict) else None
    kind = stated if stated in ("t5", "tanimoto") else "graph"
    return Model(name=name, kind=kind, folder=folder, digest=digest.hexdigest())


def find_any(name: str, base: Path) -> Model:
    """Return a model of either role, as `find` does."""
    return find(name, GENERATORS | SURROGATES, base)


def at_hand() -> list[Model]:
    """Return the bundled models, then the pulled ones."""
    names = [*GENERATORS, *SURROGATES]
    if store.root().is_dir():
        names += sorted(str(store.recorded(folder)["source"]) for folder in store.root().glob("*--*@*"))
    return [find_any(name, Path()) for name in names]


def loaded(model: Model) -> None:
    """Load a model and let it go; ModelError where it cannot be."""
    if model.kind != "t5":
        _LOADERS[model.kind](model.folder)
    elif (model.folder / "calibration.json").exists():
        _polync(model.folder)
    else:
        from inverse_design.text2text.checkpoint import load_checkpoint

        load_checkpoint(model.folder)


def description(model: Model) -> str:
    """Return what a model is, and its card, as text for a terminal."""
    known = store.recorded(model.folder)
    lines = [f"{model.name} ({model.kind})", f"folder: {model.folder}", f"digest: {model.digest}"]
    if known.get("converted_from"):
        lines.append(f"weights converted from pickled ones with SHA-256 {known['converted_from']}")
    if model.name in SURROGATES or model.kind != "t5" or _asked(model.folder):
        lines.append(f"as a surrogate answers: {', '.join(offered(model))}")
        if trial := experimental(model):
            lines.append(f"of these, experimental (not reported by the authors): {', '.join(trial)}")
    try:
        card = (model.folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        card = "no model card (README.md) in this folder"
    # A card from elsewhere may hold control sequences, which a terminal would obey.
    return "\n".join(lines) + "\n\n" + "".join(letter for letter in card if letter.isprintable() or letter in "\n\t")


def _asked(folder: Path) -> bool:
    """Whether the tokens of a checkpoint hold PolyNC's questions."""
    files = [path for name in ("tokenizer.json", "added_tokens.json") if (path := folder / name).exists()]
    return any(b"Predict the Tg of the following SMILES" in path.read_bytes() for path in files)


def experimental(model: Model) -> tuple[str, ...]:
    """Return the properties that the published PolyNC answers and its paper does not report."""
    if model.kind != "t5" or (model.folder / "calibration.json").exists():
        return ()
    from surrogates.polync import EXPERIMENTAL

    return tuple(EXPERIMENTAL)


def chosen(choice: ModelChoice, role: str, bundled: dict[str, Path], base: Path) -> Model:
    """Return the model that a spec chooses, the user's own included, with the digest of what will run; raises ModelError."""
    name = choice.model
    if choice.command is not None:
        digest, kind = plugins.command_digest(choice.command, base), "command"
    elif name is not None and choice.own:
        digest, kind = plugins.plugin_digest(name.removeprefix(plugins.PREFIX), role, choice.options or {}, base), "plugin"
    else:
        model = find(name or "", bundled, base)
        how = (choice.backend, choice.device)
        if how == ("torch", "cpu"):
            return model
        if model.kind != "t5":
            raise ModelError(f"{name}: backend and device are for text-to-text models; leave them out")
        if choice.backend == "ctranslate2" and util.find_spec("ctranslate2") is None:
            raise ModelError(f"{name}: {MISSING}")
        # What computes it rounds otherwise, so it is another model to the ledger.
        return replace(model, digest=hashlib.sha256(" ".join([model.digest, *how]).encode()).hexdigest())
    return Model(name=choice.called, kind=kind, folder=base, digest=digest)


def offered(model: Model) -> tuple[str, ...]:
    """Return the properties a surrogate answers, without loading it."""
    stored = calibration(model)
    return answerable(model) if stored is None else tuple(stored["offered"])


def answerable(model: Model) -> tuple[str, ...]:
    """Return the properties a surrogate can be asked for, by default or not, without loading it."""
    stored = calibration(model)
    if stored is not None:
        return tuple(name for name in PROPERTIES if name in stored["properties"] or name in stored["offered"])
    if model.kind == "t5":
        from surrogates.polync import PUBLISHED

        return tuple(PUBLISHED)
    return ("Tg",)


def calibration(model: Model) -> dict[str, Any] | None:
    """Return `calibration.json` beside the weights, None where there is none: offered, names; properties, error bars by name, or by the
    kind of polymer that polyScreen tells its Tg for."""
    path = model.folder / "calibration.json"
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {"offered": [str(name) for name in stored["offered"]], "properties": dict(stored["properties"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not a calibration ({error!r}); copy the model folder again") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The models of a campaign, found and checked against its targets."""

    generator: Model
    surrogates: dict[str, Model]
    properties: dict[str, tuple[str, ...]]
    choices: dict[str, SurrogateChoice]

    @classmethod
    def of(cls, spec: CampaignSpec, base: Path) -> Cast:
        """Find every model of a spec; SpecError where no surrogate answers a target, ModelError where one is missing."""
        generator = chosen(spec.generator, "generator", GENERATORS, base)
        if by_choice(spec.generator):
            both = generator.digest + find("bundled:tanimoto", SURROGATES, base).digest
            generator = replace(generator, digest=hashlib.sha256(both.encode()).hexdigest())
        models: dict[str, Model] = {}
        for choice in spec.surrogates:
            short = _short(choice)
            free = next(name for n in count(1) if (name := f"{short}_{n}" if n > 1 else short) not in models)
            models[free] = chosen(choice, "surrogate", SURROGATES, base)
        choices = dict(zip(models, spec.surrogates, strict=True))
        answers = {name: choices[name].properties or offered(model) for name, model in models.items()}
        answered = {name for properties in answers.values() for name in properties}
        known = ", ".join(name for name, item in PROPERTIES.items() if answered.issuperset(item.asked))
        problems, wanted = _unknown(spec.generator), list[str]()
        for index, (choice, model) in enumerate(zip(spec.surrogates, models.values(), strict=True)):
            if not choice.own:
                problems += _unanswered(index, choice, model)
        for index, target in enumerate(spec.targets):
            terms = PROPERTIES[target.property].asked
            wanted += [name for name in terms if name not in wanted]
            if missing := [name for name in terms if name not in answered]:
                derived = "" if missing == [target.property] else f", which {target.property!r} is derived from"
                problems.append(
                    Problem(
                        where=f"targets.{index}.property",
                        message=f"no surrogate answers {missing[0]!r}{derived}; these can be asked: {known}",
                    )
                )
        if problems:
            raise SpecError(problems)
        asked = {name: tuple(item for item in wanted if item in properties) for name, properties in answers.items()}
        for name, model in models.items():
            if trial := set(asked[name]) & set(experimental(model)):
                _LOG.warning("%s: %s experimental: not reported by its authors", model.name, " and ".join(sorted(trial)))
        used = {name: properties for name, properties in asked.items() if properties}
        return cls(
            generator=generator,
            surrogates={name: models[name] for name in used},
            properties=used,
            choices={name: choices[name] for name in used},
        )

    def digests(self) -> dict[str, str]:
        """Return name -> digest of every model, for the manifest."""
        return {model.name: model.digest for model in (self.generator, *self.surrogates.values())}

    def generator_worker(self, spec: CampaignSpec) -> WorkerSpec:
        """Return how to build the generator."""
        choice = spec.generator
        if choice.own:
            return _own(choice, "generator", self.generator)
        sampling = {"temperature": choice.temperature, "top_k": choice.top_k, "top_p": choice.top_p}
        arguments = {"folder": str(self.generator.folder), "sampling": sampling, **_how(choice)}
        if by_choice(choice):
            arguments["condition"] = list(choice.condition or ())
        return WorkerSpec(factory="campaigns.models:generator", arguments=arguments)

    def surrogate_workers(self) -> dict[str, WorkerSpec]:
        """Return how to build each surrogate."""
        workers = {}
        for name, model in self.surrogates.items():
            answers = {"name": name, "properties": list(self.properties[name])}
            if self.choices[name].own:
                workers[name] = _own(self.choices[name], "surrogate", model, **answers)
            else:
                arguments = {**answers, "kind": model.kind, "folder": str(model.folder)}
                arguments |= _how(self.choices[name]) if model.kind == "t5" else {}
                workers[name] = WorkerSpec(factory="campaigns.models:surrogate", arguments=arguments)
        return workers


def by_choice(choice: GeneratorChoice) -> bool:
    """Return whether values in front of the descriptors are kept to by choice among samples, and not read by the network."""
    return choice.model in GENERATORS and bool(choice.condition)


def _unknown(choice: GeneratorChoice) -> list[Problem]:
    """Return the values of a condition that the bundled generator cannot keep to."""
    if not by_choice(choice):
        return []
    known = offered(find("bundled:tanimoto", SURROGATES, Path()))
    return [
        Problem(
            where=f"generator.condition.{name}",
            message=f"{choice.model} cannot keep to {name!r}{nearest(name, known)}; it can to {', '.join(known)}",
        )
        for name in choice.condition or ()
        if name not in known
    ]


def _unanswered(index: int, choice: SurrogateChoice, model: Model) -> list[Problem]:
    """Return the properties that a model with weights is asked for and does not answer."""
    known = answerable(model)
    return [
        Problem(
            where=f"surrogates.{index}.properties.{place}",
            message=f"{model.name} does not answer {name!r}{nearest(name, known)}; it answers {', '.join(known)}",
        )
        for place, name in enumerate(choice.properties or ())
        if name not in known
    ]


def _how(choice: ModelChoice) -> dict[str, str]:
    """Return what computes a text-to-text model, and where."""
    return {"backend": choice.backend, "device": choice.device}


def _own(choice: ModelChoice, role: str, model: Model, **answers: Any) -> WorkerSpec:
    """Return how to build a program or plug-in."""
    how: dict[str, Any] = {"folder": str(model.folder.resolve())}
    if choice.command is not None:
        how |= {
            "command": list(choice.command),
            "timeout": choice.timeout or TIMEOUT,
            "retries": RETRIES if choice.retries is None else choice.retries,
        }
    else:
        how |= {"plugin": model.name.removeprefix(plugins.PREFIX), "options": dict(choice.options or {})}
    return WorkerSpec(factory=f"campaigns.plugins:{model.kind}_{role}", arguments={**answers, **how}, most=choice.concurrency)


def _short(choice: ModelChoice) -> str:
    """Return a name for stages and columns: letters, digits, `_` and `.`."""
    if choice.command is not None:
        # The first file that is named, which python3.11 is not.
        name = next((word for word in choice.command if Path(word).suffix[1:].isalpha()), choice.command[0])
    else:
        name = (choice.model or "").removeprefix(plugins.PREFIX)
    name = name.partition("@")[0] if name.startswith("hub:") else name.removeprefix("bundled:")
    tail = name.rstrip("/").rsplit("/", 1)[-1]
    return "".join(letter if letter.isalnum() or letter in "_." else "_" for letter in tail)


def generator(folder: str, sampling: dict[str, Any], condition: list[str] | None = None, **how: Any) -> Worker:
    """Build a generator in whatever process it runs; condition: properties whose values it keeps to by choice."""
    from generators.polytao import PolyTAO
    from inverse_design.text2text.sampling import Sampling
    from inverse_design.workers import GeneratorWorker

    model = PolyTAO.load(Path(folder), Sampling(**sampling), **how)
    if condition:
        from campaigns.conditioning import Conditioned

        return GeneratorWorker(generator=Conditioned.of(model, condition))
    return GeneratorWorker(generator=model)


def surrogate(name: str, kind: str, folder: str, properties: list[str], **how: Any) -> Worker:
    """Build a surrogate in whatever process it runs."""
    from inverse_design.workers import SurrogateWorker

    return SurrogateWorker(name=name, surrogate=_LOADERS[kind](Path(folder), **how), properties=tuple(properties))


def load_surrogate(folder: Path) -> Any:
    """Return the surrogate in a model folder."""
    return _LOADERS[find(str(folder), {}, Path()).kind](folder)


def _polync(folder: Path, **how: Any) -> Any:
    from surrogates.polync import PolyNC

    return PolyNC.load(folder, **how)


def _polyscreen(folder: Path) -> Any:
    from surrogates.polyscreen import PolyScreen

    return PolyScreen.load(folder)


def _tanimoto(folder: Path) -> Any:
    from surrogates.tanimoto import TanimotoGP

    return TanimotoGP.load(folder)


_LOADERS: Final[dict[str, Callable[..., Any]]] = {"t5": _polync, "graph": _polyscreen, "tanimoto": _tanimoto}
