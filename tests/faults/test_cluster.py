"""A cluster of two nodes on the loopback interface, started with token authentication as on a real one, and killed in parts."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from campaigns.ledger import Ledger
from tests.campaigns.test_loop import drive, spec

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="several loopback addresses"),
]
ROOT = Path(__file__).parents[2]


@dataclass
class Cluster:
    address: str
    environment: dict[str, str]
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    drivers: list[subprocess.Popen[str]] = field(default_factory=list)

    def join(self, ip: str, *options: str) -> None:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--node-ip-address={ip}", "--num-cpus=1"]
        command += ["--num-gpus=0", "--object-store-memory=80000000", "--disable-usage-stats", *options]
        # A session of its own, so that a node dies at once with all its processes and nothing else.
        self.nodes.append(
            subprocess.Popen(
                command, env=self.environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )

    def kill(self, node: int) -> None:
        os.killpg(self.nodes[node].pid, signal.SIGKILL)
        self.nodes[node].wait()

    def driver(self, folder: Path, seconds: float = 0.3) -> subprocess.Popen[str]:
        """Start a campaign whose generator takes so long over each batch."""
        command = [sys.executable, "-m", "tests.faults.workers", str(folder), self.address, str(seconds)]
        self.drivers.append(subprocess.Popen(command, env=self.environment, cwd=ROOT, stderr=subprocess.PIPE, text=True))
        return self.drivers[-1]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        port = free.getsockname()[1]
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    given = {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "RAY_worker_niceness": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
    }
    made = Cluster(f"127.0.0.2:{port}", {**os.environ, **given})
    made.join("127.0.0.2", "--head", f"--port={port}", "--include-dashboard=false")
    until(lambda: reachable("127.0.0.2", port), 90)
    made.join("127.0.0.3", f"--address={made.address}")
    yield made
    for driver in made.drivers:
        driver.kill()
        driver.communicate()
    for number, node in enumerate(made.nodes):
        if node.poll() is None:
            made.kill(number)


def reachable(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def shards(folder: Path) -> Callable[[], bool]:
    """Whether the campaign is in the middle of its second round."""
    return lambda: (folder / "rounds" / "000000.parquet").exists() and any((folder / "partial").glob("*.json"))


def same_as_calm(folder: Path, tmp_path: Path) -> bool:
    drive(tmp_path / "calm", spec())
    return list(Ledger.open(folder).rounds()) == list(Ledger.open(tmp_path / "calm").rounds())


def test_a_node_that_is_killed_and_one_that_joins_change_nothing(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    driver = cluster.driver(folder)
    until(shards(folder), 280)
    cluster.kill(1)
    cluster.join("127.0.0.4", f"--address={cluster.address}")
    _, talk = driver.communicate(timeout=280)
    assert driver.returncode == 0, talk
    assert same_as_calm(folder, tmp_path)


def test_without_its_head_a_campaign_ends_resumably(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    driver = cluster.driver(folder, seconds=15)  # what is left takes longer than to find the head lost
    until(shards(folder), 280)
    cluster.kill(0)
    began = time.monotonic()
    _, talk = driver.communicate(timeout=100)
    assert driver.returncode == 75, talk
    assert "Every finished shard is kept" in talk
    assert "Traceback" not in talk
    assert time.monotonic() - began < 60
    drive(folder, spec())
    assert same_as_calm(folder, tmp_path)
