"""A campaign from Python: `Campaign.from_yaml("spec.yaml").run()`, then `.results()`."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from campaigns.models import Cast
from campaigns.reference import reference_source
from campaigns.storage import disk_of, location
from campaigns.yaml_source import load_spec, located
from inverse_design.errors import Problem as Wrong
from inverse_design.errors import SpecError, StateError
from inverse_design.protocols import Executor, Row, WorkerSpec
from inverse_design.spec import CampaignSpec

if TYPE_CHECKING:
    from campaigns.laboratory import Told
    from campaigns.ledger import Ledger
    from campaigns.results import Results
    from inverse_design.acquisition.strategies import Problem
    from inverse_design.loop import Workers
    from inverse_design.state import Candidate, State
    from inverse_design.verdict import Verdict

logger = logging.getLogger(__name__)
ExecutorName = Literal["ray", "local"]
_DECIDED: Final = {
    "name": "the folder is known by it",
    "seed": "all that was generated follows from it",
    "structure": "what it refused was never scored",
    "novelty": "what it refused was never scored",
    "generator": "all candidates come from it",
    "surrogates": "the stored predictions are theirs",
}
"""Fields of a spec that no amendment may change, and why."""
Tell = Callable[["State", Row], None]


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A spec and the folder it lives in. `source` is the campaign file as written; `base` is what paths in it are relative to;
    `file` and `overrides`, where it was read from a file to be started, tell where a problem is."""

    spec: CampaignSpec
    source: str
    folder: Path
    base: Path
    file: str = ""
    overrides: tuple[str, ...] = ()

    @classmethod
    def from_yaml(cls, path: str | Path, folder: str | Path | None = None, overrides: Sequence[str] = ()) -> Self:
        """Read a campaign file; SpecError with every problem at once. `folder` defaults to runs/NAME."""
        path = Path(path)
        spec, source = load_spec(path, overrides)
        where = location(folder or Path("runs") / spec.name)
        return cls(spec=spec, source=source, folder=where, base=path.parent, file=str(path), overrides=tuple(overrides))

    @classmethod
    def load(cls, folder: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Read a campaign that was started; StateError where there is none. `overrides` may change budget and want."""
        from campaigns.ledger import Ledger

        folder = location(folder)
        ledger = Ledger.open(folder)
        base = (folder if isinstance(folder, Path) else Path()) / ledger.manifest["base"]
        spec, text = load_spec(ledger.spec_path, overrides, base)
        source = text if ledger.manifest.get("revisions") else (folder / "campaign.yaml").read_text(encoding="utf-8")
        return cls(spec=spec, source=source, folder=folder, base=base)

    def run(
        self,
        *,
        workers: int | None = None,
        executor: ExecutorName = "ray",
        address: str | None = None,
        tell: Tell | None = None,
        track: Sequence[str] = (),
    ) -> Results:
        """Start the campaign in a new folder and run it to its verdict. `track`: tensorboard, mlflow."""
        from campaigns.ledger import Ledger

        cast = self.cast()
        with Ledger.create(self.folder, self.source, self._resolved(), self._manifest(cast)) as ledger:
            return self._drive(ledger, cast, workers or cores(), executor, address, tell, track)

    def cast(self) -> Cast:
        """Find the models; SpecError, each problem with its place in the file, where they do not answer what is asked."""
        try:
            return Cast.of(self.spec, self.base)
        except SpecError as error:
            if not self.file:
                raise
            raise SpecError(located(error.problems, self.source, self.file, self.overrides)) from error

    def started(self) -> bool:
        """Return whether the folder holds a campaign, which `resume` goes on with."""
        return (self.folder / "manifest.json").exists()

    def resume(
        self,
        *,
        workers: int | None = None,
        executor: ExecutorName = "ray",
        address: str | None = None,
        tell: Tell | None = None,
        track: Sequence[str] = (),
    ) -> Results:
        """Go on from the last finished shard; StateError where spec or models differ from those it was started with."""
        from campaigns.ledger import Ledger

        cast = self.cast()
        with Ledger.resume(self.folder, self._resolved(), self._manifest(cast)) as ledger:
            return self._drive(ledger, cast, workers or cores(), executor, address, tell, track)

    def amend(self, overrides: Sequence[str]) -> tuple[Campaign, list[str]]:
        """Record a new revision of the spec and return the campaign under it, with what changed; no model is run.

        Targets on properties that were predicted, confidence, want, budget and acquisition may change: stored predictions are
        judged anew. Raises SpecError for anything else, with the reason.
        """
        from campaigns.ledger import Ledger

        amended = Campaign.load(self.folder, overrides)
        old, new = self.spec.as_json(), amended.spec.as_json()
        problems = [
            Wrong(where=name, message=f"cannot be amended: {why}; start a campaign in another folder")
            for name, why in _DECIDED.items()
            if old.get(name) != new.get(name)
        ]
        ledger = Ledger.open(self.folder)
        predicted = set.intersection(
            *({target["property"] for target in revision["targets"]} for revision in [old, *ledger.revisions()])
        )
        problems += [
            Wrong(
                where=f"targets.{index}.property",
                message=f"{target.property} was never predicted for the candidates of this campaign, which has {', '.join(sorted(predicted))}; "
                "start a campaign in another folder",
            )
            for index, target in enumerate(amended.spec.targets)
            if target.property not in predicted
        ]
        if problems:
            raise SpecError(problems)
        if old == new:
            raise SpecError("nothing would change; give what should, as in --set targets.0.min=320")
        models = amended.cast().digests()
        if swapped := {name for name, digest in models.items() if ledger.manifest["models"].get(name, digest) != digest}:
            raise StateError(f"{self.folder}: {min(swapped)} is not the model it was when the campaign was started; put it back")
        return amended, Ledger.amend(self.folder, new, {"spec": amended.spec.identity(), "models": models})

    def results(self) -> Results:
        """Return what the campaign has found so far, recomputed from its rounds."""
        from campaigns.ledger import Ledger
        from campaigns.results import Results

        ledger = Ledger.open(self.folder)
        return Results(state=self._state(ledger), manifest=ledger.manifest, source=self.source, hours=_hours(ledger))

    def suggest(self, count: int = 8, *, diverse: bool = False) -> list[Candidate]:
        """Return what to measure next: the best candidates not told of yet; with `diverse`, none much like another."""
        from campaigns.laboratory import suggest

        return suggest(self.results().state, count, diverse)

    def tell(self, measured: str | Path | Iterable[Mapping[str, object]] | Any, *, source: str | None = None) -> Told:
        """Take measurements into the campaign and return what was understood and what changes because of it.

        measured: a CSV or Parquet file, a pandas data frame, or rows of a table, as `suggest` and a laboratory write them.
        source: name of the table, by default the file's; a table told again under its name replaces what it said before.
        Raises SpecError, keeping nothing, where nothing in it was understood, and StateError while the campaign runs.
        """
        from campaigns.laboratory import tell
        from campaigns.ledger import Ledger
        from campaigns.local import LocalExecutor
        from campaigns.measurements import cells
        from campaigns.predict import Predictor

        name, columns, rows = cells(measured, source)
        cast = self.cast()
        predictor = Predictor(properties=(), surrogates=cast.surrogate_workers())
        with Ledger.resume(self.folder, self._resolved(), self._manifest(cast)) as ledger:
            return tell(self.spec, ledger, name, columns, rows, lambda units: predictor.raw(units, LocalExecutor(1)))

    def _repr_html_(self) -> str:
        from campaigns.notebook import campaign_html

        return campaign_html(self)

    def _drive(
        self,
        ledger: Ledger,
        cast: Cast,
        workers: int,
        executor: ExecutorName,
        address: str | None,
        tell: Tell | None,
        track: Sequence[str],
    ) -> Results:
        from campaigns import trackers
        from campaigns.logbook import logbook
        from campaigns.results import Results
        from inverse_design.loop import run
        from inverse_design.verdict import verdict

        state, spent = self._state(ledger), _hours(ledger)
        began = time.monotonic()

        def after_round(state: State, seconds: Row) -> None:
            metrics = state.progress[-1] | {"seconds": seconds, "candidates": len(state.candidates)}
            ledger.append_metrics(metrics)
            logger.info("round committed: %s", json.dumps(metrics))
            trackers.tell(watched, metrics)
            if tell is not None:
                tell(state, seconds)
            write_report(spent + (time.monotonic() - began) / 3600)

        def write_report(hours: float, end: Verdict | None = None) -> Results:
            results = Results(state=state, manifest=ledger.manifest, source=self.source, hours=hours, end=end)
            disk_of(self.folder).write(self.folder / "report.html", results.report().encode())
            return results

        watched = trackers.trackers(track, self.folder, self.spec.name, f"{ledger.manifest['spec']}-{self.spec.seed}")
        try:
            with logbook(ledger, self.spec.name, lambda: state.rounds):
                logger.info("started on %s with %d workers, versions %s", executor, workers, ledger.manifest["versions"])
                if (end := verdict(state, spent)) is None:
                    if self.spec.acquisition.strategy in ("thompson", "feasible-yield"):
                        # BoTorch takes more than a second to import: as long as Ray takes to start.
                        Thread(target=import_module, args=("inverse_design.acquisition.utility",), daemon=True).start()
                    problem = self._problem()
                    gpu = "cuda" in {choice.device for choice in (self.spec.generator, *self.spec.surrogates)}
                    crew = _executor(executor, workers, address, gpu)
                    try:
                        end = run(state, problem, self._workers(cast), crew, ledger, after_round, spent)
                    finally:
                        crew.close()
                logger.info("ended: %s: %s", end.reason, end.sentence)
                return write_report(spent + (time.monotonic() - began) / 3600, end)
        finally:
            trackers.close(watched)

    def _state(self, ledger: Ledger) -> State:
        from campaigns.laboratory import state

        return state(self.spec, ledger)

    def _problem(self) -> Problem:
        from inverse_design.acquisition.features import Scale
        from inverse_design.acquisition.known import start
        from inverse_design.acquisition.pool import Realism
        from inverse_design.acquisition.strategies import Problem
        from inverse_design.reference import prior

        spec, every = self.spec, prior()
        fitting, bounds, known = start(spec.targets, spec.structure)
        scale = Scale(every)
        return Problem(
            targets=spec.targets,
            prior=fitting,
            bounds=bounds,
            confidence=spec.confidence,
            pool=spec.acquisition.pool,
            prompts=max(1, spec.acquisition.samples_per_round // spec.acquisition.samples_per_prompt),
            seed=spec.seed,
            scale=scale,
            realism=Realism(every, scale),
            known=known,
        )

    def _workers(self, cast: Cast) -> Workers:
        from inverse_design.loop import Workers

        structure = self.spec.structure.model_dump(mode="json", by_alias=True)
        if self.spec.structure.stock is not None:
            structure["stock"] = str(self.base / self.spec.structure.stock)
        sieve = WorkerSpec(
            factory="inverse_design.sieve:sieve_worker",
            arguments={
                "structure": structure,
                "reference": str(reference_source(self.spec, self.base)),
                "max_similarity": self.spec.novelty.max_similarity,
            },
        )
        return Workers(generator=cast.generator_worker(self.spec), sieve=sieve, surrogates=cast.surrogate_workers())

    def _resolved(self) -> Row:
        return self.spec.as_json()

    def _manifest(self, cast: Cast) -> Row:
        # Relative, so that the folder can be moved together with the files it names; from object storage, to where one works.
        base = os.path.relpath(self.base.resolve(), self.folder.resolve() if isinstance(self.folder, Path) else Path.cwd())
        return {"spec": self.spec.identity(), "seed": self.spec.seed, "models": cast.digests(), "base": base}


def _executor(name: ExecutorName, workers: int, address: str | None, gpu: bool) -> Executor:
    if name == "local":
        from campaigns.local import LocalExecutor

        return LocalExecutor(workers)
    from campaigns.on_ray import RayExecutor

    if (joined := address or os.environ.get("RAY_ADDRESS")) and joined != "local":
        from campaigns.doctor import dashboard

        if (found := dashboard(joined)).status == "fail":
            logger.warning("%s %s", found.what, found.says)
    return RayExecutor(workers, address, gpu=gpu)


def _hours(ledger: Ledger) -> float:
    """Return the hours spent so far: the sum over finished rounds of their stages."""
    return sum(sum(row["seconds"].values()) for row in ledger.metrics() if "seconds" in row) / 3600
