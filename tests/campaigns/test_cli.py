"""The command line as a user meets it: exit codes, messages, and the quick start on the bundled models."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from campaigns.doctor import filesystem

ROOT = Path(__file__).parents[2]


def cli(*arguments: str, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_ADDRESS": ""}
    return subprocess.run(
        [sys.executable, "-m", "campaigns.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=folder or ROOT,
        timeout=280,
        env=environment,
        check=False,
    )


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


HEAD = "schema: 1\nname: x\n"
BAD = {
    "unknown property": (HEAD + "targets:\n  - {property: Tgg, min: 3}\n", "x.yaml:4:16", "did you mean 'Tg'"),
    "min above max": (HEAD + "targets:\n  - {property: Tg, min: 300, max: 200}\n", "x.yaml:4:", "lower bound"),
    "wrong unit": (HEAD + "targets:\n  - {property: Tg, min: 300, unit: eV}\n", "x.yaml:4:", "accepted: degC"),
    "unquoted star": (HEAD + "targets:\n  - {property: Tg, min: 300}\nstructure: {required: *CC*}\n", "x.yaml:5:", "quote"),
    "duplicate key": (HEAD + "name: y\ntargets:\n  - {property: Tg, min: 300}\n", "x.yaml:3:", "twice"),
    "impossible rings": (
        HEAD
        + "targets:\n  - {property: Tg, min: 3}\nstructure: {descriptors: {RingCount: {max: 0}, NumAromaticRings: {min: 2}}}\n",
        "x.yaml:5:",
        "RingCount",
    ),
    "no reference": (
        HEAD + "targets:\n  - {property: Tg, min: 3}\nnovelty: {reference: none-such.csv}\n",
        "x.yaml:5:",
        "does not exist",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_spec_is_refused_with_its_place(tmp_path: Path, case: str) -> None:
    text, place, hint = BAD[case]
    done = cli("run", write(tmp_path / "x.yaml", text), folder=tmp_path)
    assert done.returncode == 2
    assert place in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_an_empty_reference_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("", encoding="utf-8")
    spec = write(tmp_path / "x.yaml", HEAD + "targets:\n  - {property: Tg, min: 3}\nnovelty: {reference: mine.csv}\n")
    done = cli("run", spec, folder=tmp_path)
    assert (done.returncode, "is empty" in done.stderr) == (2, True)


def test_a_missing_spec_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    done = cli("run", "none.yaml", folder=tmp_path)
    assert (done.returncode, "no such file" in done.stderr) == (2, True)
    for verb in ("resume", "status", "report", "export"):
        done = cli(verb, "nowhere", folder=tmp_path)
        assert (done.returncode, "Traceback" in done.stderr) == (4, False), verb


def test_errors_are_json_on_request(tmp_path: Path) -> None:
    done = cli("run", "none.yaml", "--json", folder=tmp_path)
    assert json.loads(done.stdout)["exit_code"] == 2


def test_corrupt_and_missing_weights_end_with_5(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    text = HEAD + "targets:\n  - {property: Tg, min: 3}\ngenerator: {model: model}\n"
    spec = write(tmp_path / "x.yaml", text)
    done = cli("run", spec, "--executor", "local", "--workers", "1", folder=tmp_path)
    assert (done.returncode, "config.json" in done.stderr) == (5, True)
    bundled = ROOT / "generators" / "weights" / "polytao"
    for name in ("config.json", "tokenizer.json"):
        (model / name).write_bytes((bundled / name).read_bytes())
    (model / "model.safetensors").write_bytes((bundled / "model.safetensors").read_bytes()[:1000])
    done = cli("run", spec, "--executor", "local", "--workers", "1", "-o", "other", folder=tmp_path)
    assert (done.returncode, "model.safetensors" in done.stderr, "Traceback" in done.stderr) == (5, True, False)


def test_help_and_config_errors_load_no_heavy_library(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['inverse-design', *sys.argv[1:]]\n"
        "from campaigns.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'ray', 'transformers', 'rdkit', 'botorch') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for arguments in (["--help"], ["run", write(tmp_path / "x.yaml", HEAD)]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, timeout=60, check=False
        )
        assert done.stdout.splitlines()[-1] == "[]"


def test_init_writes_a_spec_that_is_valid(tmp_path: Path) -> None:
    assert cli("init", "mine.yaml", folder=tmp_path).returncode == 0
    done = cli("validate", "mine.yaml", folder=tmp_path)
    assert (done.returncode, "Tg >= 350 degC" in done.stdout) == (0, True)
    assert cli("init", "mine.yaml", folder=tmp_path).returncode == 4


def test_properties_lists_what_a_spec_may_ask_for_and_what_is_computed(tmp_path: Path) -> None:
    done = cli("properties", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line}
    schema = json.loads(cli("schema", folder=tmp_path).stdout)["$defs"]["Target"]["properties"]["property"]["enum"]
    assert set(schema) == set(rows) - {"property", "DFT,"}
    assert ["(DFT)" in rows["refractive_index"], "(MD)" in rows["free_volume"], "DFT" in rows["Tg"]] == [True, True, False]
    told = {row["property"]: row for row in json.loads(cli("properties", "--json", folder=tmp_path).stdout)}
    low, middle, high = told["refractive_index"]["quantiles"]
    assert 1.4 < low < middle < high < 2.6, "computed refractive indices of organic polymers"
    assert told["Tg"]["units"][0] == "degC"


def test_design_writes_the_spec_it_stands_for_and_runs_it(tmp_path: Path) -> None:
    tiny = ("--set", "budget.rounds=1", "--set", "acquisition.samples_per_round=16", "--executor", "local", "--workers", "1")
    wish = ("design", "--property", "Tg", "--min", "623", "--unit", "K", "--class", "polyimide", "-n", "2")
    done = cli(*wish, *tiny, "--json", folder=tmp_path)
    assert done.returncode in (0, 3), done.stderr
    assert json.loads(done.stdout)["targets"][0]["low"] == pytest.approx(349.85)
    path = tmp_path / "runs" / "tg-min-623-k-polyimide.yaml"
    assert (path.parent / path.stem / "campaign.yaml").read_bytes() == path.read_bytes()
    assert cli("validate", str(path)).returncode == 0
    assert cli(*wish, *tiny, folder=tmp_path).returncode == 4
    done = cli("design", "--property", "Tgg", "--min", "3", folder=tmp_path)
    assert (done.returncode, "did you mean 'Tg'" in done.stderr, "Traceback" in done.stderr) == (2, True, False)
    done = cli("design", "--property", "Tg", folder=tmp_path)
    assert (done.returncode, "give min" in done.stderr) == (2, True)
    done = cli("design", "--property", "Tg", "--min", "3", "--property", "density", "--max", "1.2", folder=tmp_path)
    assert (done.returncode, "takes one, not Tg and density" in done.stderr) == (2, True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short campaign on the bundled models, on Ray, from the command line."""
    folder = tmp_path_factory.mktemp("cli")
    spec = HEAD + "targets:\n  - {property: Tg, min: 120, unit: degC}\nwant: {candidates: 5, clusters: 2}\n"
    spec += "acquisition: {samples_per_round: 96}\nbudget: {rounds: 6}\n"
    done = cli("run", write(folder / "x.yaml", spec), "-o", "campaign", "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"]["reason"] == "met"
    assert found["passing"] >= 5
    return folder / "campaign"


def test_a_finished_campaign_is_exported_reported_and_not_run_again(finished: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    done = cli("resume", str(finished))
    assert (done.returncode, "is finished" in done.stderr) == (4, True)
    done = cli("run", str(finished / "campaign.yaml"), "-o", str(finished))
    assert (done.returncode, "resume" in done.stderr) == (4, True)
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before
    assert "met: " in cli("status", str(finished)).stdout
    for kind in ("csv", "parquet", "json", "sdf"):
        done = cli("export", str(finished), "--format", kind, "--top", "5")
        assert done.returncode == 0, done.stderr
        assert Path(done.stdout.strip()).stat().st_size > 0
    options = ("--top", "3", "--diverse", "--filter", "makeable=true")
    done = cli("export", str(finished), *options)
    assert len(Path(done.stdout.strip()).read_text().splitlines()) == 4, done.stderr
    done = cli("export", str(finished), *options, "--monomers")
    assert Path(done.stdout.strip()).name == "monomers.csv"
    smiles = Path(done.stdout.strip()).read_text().splitlines()[1].split(",")[0]
    (finished.parent / "shelf.csv").write_text(f"smiles\n{smiles}\n")
    done = cli("export", str(finished), *options, "--monomers", "--stock", str(finished.parent / "shelf.csv"))
    assert Path(done.stdout.strip()).read_text().splitlines()[0] == "smiles,sa_score,in_stock,candidates,ranks,ids"
    done = cli("export", str(finished), "--stock", str(finished.parent / "shelf.csv"), "--filter", "in_stock=false")
    assert "in_stock,to_buy" in Path(done.stdout.strip()).read_text().splitlines()[0], done.stderr
    done = cli("export", str(finished), "--filter", "tg=3")
    assert (done.returncode, "no column 'tg'" in done.stderr) == (2, True)
    assert cli("report", str(finished)).returncode == 0
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "<script" not in page or "http" not in page.partition("<script")[2].partition("</script>")[0]


def test_local_and_ray_give_the_same_list(finished: Path, tmp_path: Path) -> None:
    done = cli(
        "run", str(finished / "campaign.yaml"), "-o", str(tmp_path / "again"), "--executor", "local", "--workers", "1", "--json"
    )
    assert done.returncode == 0, done.stderr
    exports = [
        cli("export", str(folder), "-o", str(tmp_path / name))
        for folder, name in ((finished, "a.csv"), (tmp_path / "again", "b.csv"))
    ]
    assert all(export.returncode == 0 for export in exports)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_run_with_resume_auto_is_the_same_however_often(finished: Path, tmp_path: Path) -> None:
    told = [
        cli("run", str(finished / "campaign.yaml"), "-o", str(finished), "--resume", "auto", "--executor", "local", "--json")
        for _ in range(2)
    ]
    assert [done.returncode for done in told] == [0, 0]
    assert told[0].stdout == told[1].stdout
    other = write(tmp_path / "other.yaml", HEAD + "targets:\n  - {property: Tg, min: 130}\n")
    done = cli("run", other, "-o", str(finished), "--resume", "auto")
    assert (done.returncode, "started with another spec" in done.stderr) == (4, True)


def test_the_doctor_says_what_it_found(tmp_path: Path) -> None:
    done = cli("doctor", str(tmp_path), "--json")
    found = {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 0, done.stdout
    assert found["ray"]["status"] == "ok"
    assert len(found["bundled:polytao"]["says"].split()[-1]) == 64
    assert str(tmp_path) in found["campaign folder"]["says"]
    done = cli("doctor", str(tmp_path), "--address", "127.0.0.1:9")
    assert (done.returncode, "No Ray cluster answers at 127.0.0.1:9" in done.stdout) == (5, True)


def test_the_file_system_of_a_folder_is_that_of_its_nearest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("a / ext4 rw 0 0\nb /home nfs4 rw 0 0\nc /home/my\\040lab fuse.sshfs rw 0 0\n")
    for folder, kind in (("/home/x", "nfs4"), ("/homes", "ext4"), ("/home/my lab/y", "fuse.sshfs")):
        assert filesystem(Path(folder), mounts) == kind
    assert filesystem(tmp_path, tmp_path / "none") == ""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_terminated_run_is_resumable_and_gives_the_same_list(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    command = [sys.executable, "-m", "campaigns.cli", "run", str(finished / "campaign.yaml"), "-o", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_ADDRESS": ""}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment, cwd=ROOT
    ) as process:
        deadline = time.monotonic() + 120
        while not any((folder / "partial").glob("*.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.terminate()
        _, talk = process.communicate(timeout=60)
    assert process.returncode == 75, talk
    assert f"go on with: inverse-design resume {folder}" in talk
    assert "Traceback" not in talk
    assert cli("resume", str(folder), "--executor", "local", "--workers", "1").returncode == 0
    for name, place in (("a.csv", finished), ("b.csv", folder)):
        assert cli("export", str(place), "-o", str(tmp_path / name)).returncode == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
