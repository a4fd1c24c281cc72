"""Clocks that jump, temporary folders that are none, dashboards that are open, file systems of every kind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from campaigns import doctor
from campaigns.campaign import _executor, _hours
from campaigns.ledger import Ledger
from campaigns.on_ray import RayExecutor
from inverse_design.errors import ModelError
from tests.campaigns.test_observability import drive


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calm = drive(tmp_path / "calm")
    real, days = time.time, iter(range(1, 10**6))
    monkeypatch.setattr(time, "time", lambda: real() - 86_400 * next(days))  # a day back each time it is looked at
    found = drive(tmp_path / "run")
    monkeypatch.undo()
    assert found.rows() == calm.rows()
    ledger = Ledger.open(tmp_path / "run")
    assert [record.index for record in ledger.rounds()] == [0, 1]
    assert all(seconds >= 0 for row in ledger.metrics() for seconds in row["seconds"].values())
    assert 0 <= _hours(ledger) < 1


def test_a_temporary_folder_that_is_none_is_told_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "file" / "ray"))
    began = time.monotonic()
    with pytest.raises(
        ModelError,
        match=r"Ray cannot start here \(.*Try again, without it \(--executor local\), or with RAY_TMPDIR set to a folder with room",
    ):
        RayExecutor(1, "local")
    assert time.monotonic() - began < 60


@pytest.fixture(params=[200, 401])
def dashboard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A dashboard, open or asking for a token, at an address that counts as one from outside."""

    class Dashboard(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Dashboard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(doctor, "DASHBOARD", server.server_port)
    monkeypatch.setattr(doctor, "_outside", lambda name: "127.0.0.1")
    yield request.param
    server.shutdown()
    server.server_close()


def test_a_dashboard_open_to_others_fails_the_doctor_and_warns_a_run(
    dashboard: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = doctor.dashboard("10.0.0.1:6379")
    assert (found.status, "RAY_AUTH_MODE=token" in found.says) == (("fail", True) if dashboard == 200 else ("ok", False))
    monkeypatch.setattr("campaigns.on_ray.RayExecutor", lambda *_, **__: None)
    _executor("ray", 1, "10.0.0.1:6379", gpu=False)
    assert ("answers at 127.0.0.1" in caplog.text) == (dashboard == 200)


@pytest.mark.parametrize(
    ("kind", "status", "said"),
    [
        ("ext4", "ok", "on ext4"),
        ("nfs4", "warn", "on nfs4, shared: a lock of another host is waited for up to 60 s"),
        ("lustre", "warn", "shared"),
        ("fuse.sshfs", "warn", "shared"),
        ("tmpfs", "warn", "in memory: gone after a restart"),
    ],
)
def test_the_doctor_says_what_a_file_system_means(
    kind: str, status: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"a / ext4 rw 0 0\nb {tmp_path} {kind} rw 0 0\n")
    monkeypatch.setattr(doctor, "MOUNTS", mounts)
    kind_found, room = doctor._disk("campaign folder", tmp_path / "run")
    assert (kind_found.status, said in kind_found.says) == (status, True)
    assert "GiB free" in room.says
