"""Models from a hub: pulled once, pinned, converted without running anything, and found again without a network."""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from campaigns import store
from campaigns.models import Cast, description, find_any, loaded
from inverse_design.errors import ModelError
from inverse_design.spec import CampaignSpec
from inverse_design.text2text.pickled import convert_pickled
from tests.published import POLYNC, checkpoint

ROOT = Path(__file__).parents[2]
REVISION = "0123456789abcdef0123456789abcdef01234567"
PINNED = f"hub:lab/PolyNC@{REVISION}"

# What a machine does with the model, in a process that has no network at all when told so.
PROGRAM = """
import json, os, socket, sys
from pathlib import Path
if sys.argv[1] == "blocked":
    def refuse(*arguments, **named): raise AssertionError("the network was asked for")
    socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from campaigns import store
from campaigns.models import at_hand, find_any, loaded
from inverse_design.errors import ModelError
pinned = store.pull(sys.argv[2])
assert store.pull(pinned) == pinned
model = find_any(pinned, Path())
loaded(model)
assert pinned in [one.name for one in at_hand()]
try:
    store.pull("hub:lab/other")
except ModelError as error:
    missing = str(error)
print(json.dumps([pinned, str(model.folder), missing]))
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as uploaded years ago: pickled weights with the copies that old libraries wrote, a card, and code."""
    folder = checkpoint(tmp_path_factory.mktemp("published"), POLYNC)
    tensors = load_file(folder / "model.safetensors")
    shared = tensors["shared.weight"]
    copies = dict.fromkeys(("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"), shared)
    torch.save(tensors | copies, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    (folder / "README.md").write_text("# PolyNC\x1b]0;owned\x07 of a lab")
    (folder / "modeling_polync.py").write_text("raise SystemExit('ran')")
    return folder


def run(home: Path, *arguments: str, **environment: str) -> tuple[str, Path, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(home), "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    name, folder, missing = json.loads(done.stdout)
    return name, Path(folder), missing


def test_a_copied_cache_serves_a_machine_without_network(tmp_path: Path, published: Path) -> None:
    cached = tmp_path / "hub" / "models--lab--PolyNC"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(REVISION)
    (cached / "snapshots").mkdir()
    (cached / "snapshots" / REVISION).symlink_to(published)
    name, folder, missing = run(tmp_path, "blocked", "hub:lab/PolyNC", HF_HUB_OFFLINE="1")
    assert name == PINNED
    assert folder == tmp_path / "inverse-design" / f"lab--PolyNC@{REVISION}"
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors", ".md"}
    assert store.recorded(folder)["converted_from"] == store.sha256(published / "pytorch_model.bin")
    assert "inverse-design models pull hub:lab/other" in missing
    # The folder alone is enough elsewhere.
    other = tmp_path / "elsewhere"
    (other / "inverse-design").mkdir(parents=True)
    folder.rename(other / "inverse-design" / folder.name)
    assert run(other, "blocked", PINNED, HF_HUB_OFFLINE="1")[:2] == (PINNED, other / "inverse-design" / folder.name)


CUT: list[str] = []
"""Names of files that the hub sends half of, once each."""


@pytest.fixture
def hub(published: Path) -> Iterator[str]:
    """A hub with one model, at its newest revision."""

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            file = self.path.rpartition("/")[2]
            siblings = [{"rfilename": path.name} for path in published.iterdir()]
            tree = [
                {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": path.name} for path in published.iterdir()
            ]
            if not self.path.startswith(("/api/models/lab/PolyNC/", "/lab/PolyNC/")):
                self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
            elif "/tree/" in self.path:
                self.answer(200, json.dumps(tree).encode())
            elif self.path.startswith("/api/"):
                self.answer(200, json.dumps({"id": "lab/PolyNC", "sha": REVISION, "siblings": siblings}).encode())
            else:
                self.answer(200, (published / file).read_bytes(), {"ETag": f'"{file}"', "X-Repo-Commit": REVISION})

        do_HEAD = do_GET  # noqa: N815

        def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET" and self.path.rpartition("/")[2] in CUT:
                CUT.remove(self.path.rpartition("/")[2])
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
            elif self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_model_is_pulled_from_a_hub(tmp_path: Path, hub: str) -> None:
    name, folder, missing = run(tmp_path, "open", "hub:lab/PolyNC", HF_ENDPOINT=hub, HF_HUB_OFFLINE="0", NO_PROXY="*")
    assert name == PINNED
    assert not list(folder.glob("*.py"))
    assert not list(folder.glob("*.bin"))
    assert "no such model or revision" in missing


def test_a_download_that_is_cut_is_mended(tmp_path: Path, hub: str) -> None:
    """By the pull itself or by the next one; what is in the store is whole at any time."""
    CUT.extend(["pytorch_model.bin"] * 3)
    environment = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "NO_PROXY": "*", "PYTHONPATH": str(ROOT)}
    program = "import sys; from campaigns import store; print(store.pull(sys.argv[1]))"
    for _ in range(4):
        done = subprocess.run(
            [sys.executable, "-c", program, "hub:lab/PolyNC"],
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, capture_output=True, text=True, timeout=250, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            break
        assert "ModelError: hub:lab/PolyNC: not on this machine, and the hub gives no answer" in done.stderr
        assert not list((tmp_path / "inverse-design").glob("[!.]*"))
    assert (done.stdout.strip(), CUT) == (PINNED, [])


def test_without_network_and_model_a_run_ends_at_once_with_the_command_that_gets_it(tmp_path: Path) -> None:
    spec = tmp_path / "x.yaml"
    spec.write_text(f"schema: 1\nname: x\ntargets:\n  - {{property: Tg, min: 3}}\nsurrogates: ['{PINNED}']\n")
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "empty"), "PYTHONPATH": str(ROOT)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-m", "campaigns.cli", "run", str(spec), "-o", str(tmp_path / "run")],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 3
    assert (done.returncode, f"get it with: inverse-design models pull {PINNED}" in done.stderr) == (5, True), done.stderr
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "empty").exists()


@pytest.fixture
def pulled(tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model as it lies in the store."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    folder = store.place("lab/PolyNC", REVISION)
    folder.mkdir(parents=True)
    for path in published.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    store.record(folder, PINNED)
    return folder


def test_a_spec_takes_the_pinned_name_and_the_manifest_its_digest(pulled: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = CampaignSpec.model_validate(
        {"schema": 1, "name": "x", "targets": [{"property": "bandgap_chain", "min": 4}], "surrogates": [PINNED, str(pulled)]}
    )
    cast = Cast.of(spec, Path())
    assert set(cast.surrogates) == {"PolyNC", f"lab__PolyNC_{REVISION}"}
    assert cast.digests()[PINNED] == cast.digests()[str(pulled)]
    assert "bandgap_chain experimental: not reported by its authors" in caplog.text


def test_a_store_that_cannot_be_written_serves(pulled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def written(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(pulled) in str(arguments[0]) and isinstance(arguments[1], str):
            assert set(arguments[1]) <= set("rb"), arguments
        assert event not in ("os.mkdir", "os.rename", "os.remove", "os.link") or str(pulled.parent) not in str(arguments), (
            arguments
        )

    sys.addaudithook(lambda event, arguments: written(event, arguments) if watching else None)
    watching = [True]
    loaded(find_any(PINNED, Path()))
    watching.clear()


def test_a_changed_file_is_found(pulled: Path) -> None:
    loaded(find_any(PINNED, Path()))
    weights = bytearray((pulled / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (pulled / "model.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match=r"model.safetensors: changed since it was pulled"):
        find_any(PINNED, Path())


def test_a_card_cannot_speak_to_the_terminal(pulled: Path) -> None:
    text = description(find_any(PINNED, Path()))
    assert "PolyNC]0;owned of a lab" in text
    assert "experimental (not reported by the authors): bandgap_chain, bandgap_bulk" in text
    assert "converted from pickled ones" in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (PINNED, f"get it with: inverse-design models pull {PINNED}"),
        ("hub:lab/PolyNC", "40 hexadecimal digits.* inverse-design models pull hub:lab/PolyNC"),
        ("hub:lab/PolyNC@main", "models pull hub:lab/PolyNC@main"),
        ("hub:../../etc/passwd", "wanted hub:OWNER/NAME@REVISION"),
        ("hub:lab", "wanted hub:OWNER/NAME@REVISION"),
    ],
)
def test_a_missing_model_ends_with_the_command_that_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=said):
        find_any(name, Path())


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def test_pickled_code_is_refused_and_not_run(tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_bytes((published / "config.json").read_bytes())
    for write in (
        lambda path: torch.save({"shared.weight": Payload()}, path),
        lambda path: path.write_bytes(pickle.dumps(Payload(), protocol=2)),
    ):
        write(tmp_path / "pytorch_model.bin")
        with pytest.raises(ModelError, match="holds something else than tensors"):
            convert_pickled(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "pytorch_model.bin"}


def test_code_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5", "auto_map": {"AutoModel": "modeling.Model"}}))
    with pytest.raises(ModelError, match="run code of its own"):
        store.refuse_code(tmp_path)
