"""What a run leaves for those who watch it: metrics and a log in its folder, TensorBoard and MLflow where they are asked for."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from campaigns import trackers
from campaigns.campaign import Campaign
from campaigns.ledger import Ledger
from campaigns.models import Cast
from campaigns.results import Results
from inverse_design.errors import Interrupted, SpecError
from inverse_design.loop import Workers
from tests import toy
from tests.campaigns.test_loop import spec

STAGES = {"acquisition", "generate", "sieve", "linear", "commit"}


class Toys(Campaign):
    """A campaign on toy models."""

    def _workers(self, cast: Cast) -> Workers:
        sieve = Campaign._workers(self, SimpleNamespace(generator_worker=lambda _: toy.GENERATOR, surrogate_workers=dict)).sieve  # type: ignore[arg-type]
        return Workers(generator=toy.GENERATOR, sieve=sieve, surrogates=toy.SURROGATES)


def drive(folder: Path, track: tuple[str, ...] = (), rounds: int = 2, tell: Any = None) -> Results:
    wanted = spec(want={"candidates": 900, "clusters": 2}, budget={"rounds": rounds})
    campaign = Toys(spec=wanted, source="schema: 1\n", folder=folder, base=folder)
    manifest, resolved = {"spec": "5f2c", "seed": 0, "models": {}, "base": "."}, wanted.as_json()
    started = (folder / "manifest.json").exists()
    with Ledger.resume(folder, resolved, manifest) if started else Ledger.create(folder, "", resolved, manifest) as ledger:
        return campaign._drive(ledger, None, 1, "local", None, tell, track)  # type: ignore[arg-type]


def test_metrics_and_a_log_are_kept_and_name_campaign_and_round(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def warned(state: Any, seconds: Any) -> None:
        logging.getLogger("campaigns.dispatch").warning("row %d is left out", state.rounds)
        if state.rounds == 2:
            raise Interrupted("stopped by SIGTERM")

    with pytest.raises(Interrupted):
        drive(tmp_path, tell=warned)
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["round"] for row in metrics] == [0, 1]
    assert all(row["seconds"].keys() == STAGES and row["samples"] == 96 for row in metrics)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {line["campaign"] for line in lines} == {"toy"}
    assert [(line["round"], line["level"], line["message"].partition(":")[0]) for line in lines] == [
        (0, "INFO", "started on local with 1 workers, versions {'package'"),
        (1, "INFO", "round committed"),
        (1, "WARNING", "row 1 is left out"),
        (2, "INFO", "round committed"),
        (2, "WARNING", "row 2 is left out"),
        (2, "INFO", "ended"),
    ]
    assert lines[-1]["message"] == "ended: Interrupted: stopped by SIGTERM"
    assert all(line["time"].endswith("+00:00") and line["pid"] for line in lines)
    assert not logging.getLogger("campaigns").handlers


def test_tensorboard_gets_every_round_through_a_resume(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    drive(tmp_path, ("tensorboard",), rounds=1)
    drive(tmp_path, ("tensorboard",), rounds=2)
    events = [EventAccumulator(str(path)).Reload() for path in sorted((tmp_path / "tensorboard").iterdir())]
    points = {(point.step, point.value) for one in events if one.Tags()["scalars"] for point in one.Scalars("accepted")}
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines() if "accepted" in line]
    assert points == {(row["round"], row["accepted"]) for row in metrics}
    assert {f"seconds/{stage}" for stage in STAGES} <= set(events[0].Tags()["scalars"])


def test_mlflow_keeps_one_run_through_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    drive(tmp_path / "run", ("mlflow",), rounds=1)
    drive(tmp_path / "run", ("mlflow",), rounds=2)
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert [point.step for point in client.get_metric_history(run.info.run_id, "accepted")] == [0, 1]
    assert run.info.status == "FINISHED"


class Client:
    """What is asked of a server of MLflow; it stops answering after the first round."""

    runs: list[Any] = []  # noqa: RUF012
    said: list[tuple[str, float, int]] = []  # noqa: RUF012

    def get_experiment_by_name(self, name: str) -> None: ...

    def create_experiment(self, name: str) -> str:
        return name

    def search_runs(self, experiments: list[str], filter_string: str, max_results: int) -> list[Any]:
        assert (experiments, filter_string) == (["toy"], "tags.campaign = '5f2c-0'")
        return self.runs

    def create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> Any:
        self.runs.append(SimpleNamespace(info=SimpleNamespace(run_id="1")))
        return self.runs[0]

    def update_run(self, run: str, status: str) -> None: ...

    def log_metric(self, run: str, name: str, value: float, step: int) -> None:
        if step:
            raise ConnectionError("no route to host")
        self.said.append((name, value, step))

    def set_terminated(self, run: str) -> None:
        raise ConnectionError("no route to host")


def test_a_server_that_is_gone_stops_no_campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = ModuleType("mlflow.tracking")
    module.MlflowClient = Client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.tracking", module)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert drive(tmp_path, ("mlflow",)).state.rounds == 2
    assert ("samples", 96.0, 0) in Client.said
    assert "MLflow did not take round 1: no route to host" in caplog.text
    assert "did not close" in caplog.text


def test_what_is_missing_is_named_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match="--track wandb: wanted one of tensorboard, mlflow"):
        trackers.trackers(["wandb"], tmp_path, "toy", "1")
    for name, package in (("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow.tracking")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(SpecError, match=rf'pip install "inverse-design\[{name}\]"'):
            trackers.trackers([name], tmp_path, "toy", "1")
