"""The course of a campaign for TensorBoard and MLflow: what metrics.jsonl says of each round, and nothing that decides anything."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from inverse_design.errors import SpecError
from inverse_design.protocols import Row

logger = logging.getLogger(__name__)


class Tracker(Protocol):
    """Takes the numbers of each round."""

    def log(self, values: Mapping[str, float], step: int) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in `tensorboard/` of the campaign folder: `tensorboard --logdir DIR/tensorboard`."""

    def __init__(self, folder: Path, name: str, identity: str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise SpecError('--track tensorboard: needs TensorBoard; pip install "inverse-design[tensorboard]"') from error
        if not isinstance(folder, Path):
            raise SpecError(f"--track tensorboard: {folder} is on object storage; event files need a folder on a disk")
        self._writer: Any = SummaryWriter(str(folder / "tensorboard"))

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class MLflow:
    """A run of the experiment `name` at MLFLOW_TRACKING_URI, the same one when a campaign is resumed."""

    def __init__(self, folder: Path, name: str, identity: str) -> None:
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise SpecError('--track mlflow: needs MLflow; pip install "inverse-design[mlflow]"') from error
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            raise SpecError("--track mlflow: set MLFLOW_TRACKING_URI to where runs are kept, as in http://127.0.0.1:5000")
        self._client: Any = MlflowClient()
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self._client.create_experiment(name)
        runs = self._client.search_runs([experiment], f"tags.campaign = '{identity}'", max_results=1)
        run = runs[0] if runs else self._client.create_run(experiment, run_name=folder.name, tags={"campaign": identity})
        self._run: str = run.info.run_id
        self._client.update_run(self._run, status="RUNNING")

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run)


TRACKERS: Final[dict[str, Callable[[Path, str, str], Tracker]]] = {"tensorboard": TensorBoard, "mlflow": MLflow}


def trackers(names: Sequence[str], folder: Path, name: str, identity: str) -> list[Tracker]:
    """Return the trackers of these names. Raises SpecError for another name, or one whose package is missing."""
    if unknown := [one for one in names if one not in TRACKERS]:
        raise SpecError(f"--track {unknown[0]}: wanted one of {', '.join(TRACKERS)}")
    return [TRACKERS[one](folder, name, identity) for one in dict.fromkeys(names)]


def tell(every: Sequence[Tracker], metrics: Row) -> None:
    """Tell trackers of a round, given its line of metrics.jsonl; one that fails is a warning, and the campaign goes on."""
    values = {name: float(value) for name, value in metrics.items() if name not in ("round", "seconds")}
    values |= {f"seconds/{stage}": float(seconds) for stage, seconds in metrics["seconds"].items()}
    for tracker in every:
        try:
            tracker.log(values, metrics["round"])
        except Exception as error:  # of many kinds: servers, disks, networks
            logger.warning("%s did not take round %d: %s", type(tracker).__name__, metrics["round"], error)


def close(every: Sequence[Tracker]) -> None:
    """End them; one that fails is a warning."""
    for tracker in every:
        try:
            tracker.close()
        except Exception as error:
            logger.warning("%s did not close: %s", type(tracker).__name__, error)
