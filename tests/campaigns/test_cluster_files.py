"""The files for clusters: right in form, and, with a scheduler that only prints, calling what they should."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

CLUSTER = Path(__file__).parents[2] / "campaigns" / "cluster"
SCRIPTS = sorted(path.name for path in CLUSTER.glob("*.sh"))
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="scripts of bash")


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_sound(name: str) -> None:
    subprocess.run(["bash", "-n", CLUSTER / name], check=True)
    checker = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if checker is None:
        pytest.skip("shellcheck is not installed")
    subprocess.run([checker, CLUSTER / name], check=True)


def stub(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
    (folder / name).chmod(0o755)


def called(script: str, tmp_path: Path, code: int = 0, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script where `srun` runs what it is given here, and Ray and the engine only say how they were called."""
    stub(tmp_path, "srun", 'while [[ $1 == -* ]]; do shift; done; [ "$1" = hostname ] && { echo 10.0.0.1; exit; }; exec "$@"')
    stub(tmp_path, "ray", 'echo "ray $*"; while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done; shift; exec "${@:-true}"')
    stub(tmp_path, "inverse-design", f'echo "inverse-design $*"; exit {code}')
    stub(tmp_path, "scontrol", '[ "$1" = show ] && printf "n1\\nn2\\n" || echo "scontrol $*"')
    stub(tmp_path, "sleep", ":")
    given = {"SLURM_JOB_ID": "1234", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "8"}
    return subprocess.run(
        ["bash", CLUSTER / script, *(arguments or ("a b.yaml", "runs/x"))],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path), **given},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("script", "port"), [("slurm.sh", 6379), ("slurm_ports.sh", 54000)])
def test_slurm_runs_one_driver_on_all_nodes_with_a_token_and_requeues_what_was_interrupted(
    tmp_path: Path, script: str, port: int
) -> None:
    done = called(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(
        f"inverse-design run a b.yaml -o runs/x --resume auto --address 10.0.0.1:{port} --workers 16"
    ) == 2 - (script != "slurm.sh")
    assert "scontrol requeue" not in done.stdout
    assert not list((tmp_path / ".ray").iterdir())  # the token goes with the job
    done = called(script, tmp_path, 75)
    assert (done.returncode, "scontrol requeue 1234" in done.stdout) == (75, True)


@pytest.mark.parametrize(("code", "told"), [(0, 0), (3, 0), (2, 0), (75, 75), (5, 5)])
def test_only_what_may_get_better_is_tried_again(tmp_path: Path, code: int, told: int) -> None:
    done = called("entrypoint.sh", tmp_path, code, "/spec/campaign.yaml", "/campaigns/run", "--workers", "32")
    assert done.returncode == told
    assert "inverse-design run /spec/campaign.yaml -o /campaigns/run --resume auto --workers 32" in done.stdout


def test_a_job_is_submitted_beside_its_spec(tmp_path: Path) -> None:
    done = called("job_submit.sh", tmp_path, 0, "specs/x.yaml", "s3://bucket/x")
    assert "ray job submit --working-dir specs -- inverse-design run x.yaml -o s3://bucket/x --resume auto" in done.stdout


def test_the_ray_job_keeps_its_campaign_on_a_volume_and_is_retried() -> None:
    job, volume = YAML(typ="safe").load_all(CLUSTER / "rayjob.yaml")
    assert (job["apiVersion"], job["kind"], volume["kind"]) == ("ray.io/v1", "RayJob", "PersistentVolumeClaim")
    spec: dict[str, Any] = job["spec"]
    assert spec["backoffLimit"] > 0
    assert spec["shutdownAfterJobFinishes"]
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    head = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    (group,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    for pod in (head, group["template"]["spec"]):
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {named["name"] for named in pod["volumes"]}
    assert {"name": "campaigns", "persistentVolumeClaim": {"claimName": volume["metadata"]["name"]}} in head["volumes"]
    assert "/campaigns/run" in spec["entrypoint"]
    assert CLUSTER.joinpath(spec["entrypoint"].split()[1].removeprefix("/spec/")).exists()
