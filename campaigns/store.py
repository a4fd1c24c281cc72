"""Models from a hub, kept on this machine: pulled once at a pinned revision, with the SHA-256 of every file.

`hub:OWNER/NAME@REVISION` names one; its folder, below `HF_HOME`, is plain files and can be copied to a machine
without network. A campaign only ever looks there: nothing is downloaded, unpickled or executed while it runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from campaigns.storage import sealed, unsealed
from inverse_design.errors import ModelError

RECORD: Final = "store.json"
PICKLED: Final = "pytorch_model.bin"
WEIGHTS: Final = "model.safetensors"
FILES: Final = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "spiece.model", "calibration.json", "neighbours.safetensors", "README.md", "LICENSE", WEIGHTS),
)
_NAME = re.compile(r"hub:(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w.-]+))?")
_PINNED = re.compile(r"[0-9a-f]{40}")


def root() -> Path:
    """Return the folder that holds pulled models: `inverse-design` in HF_HOME."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or Path(cache) / "huggingface").expanduser() / "inverse-design"


def parse(name: str) -> tuple[str, str | None]:
    """Return (OWNER/NAME, revision) of a name that begins with `hub:`; raises ModelError."""
    match = _NAME.fullmatch(name)
    if match is None or ".." in name:
        raise ModelError(f"{name!r} does not name a model; wanted hub:OWNER/NAME@REVISION, as in hub:hkqiu/PolyNC@main")
    return match["repo"], match["revision"]


def place(repo: str, revision: str) -> Path:
    """Return the folder of a pinned model."""
    return root() / f"{repo.replace('/', '--')}@{revision}"


def located(name: str) -> Path:
    """Return the folder of a pulled model; ModelError with the command that gets it. Never touches the network."""
    repo, revision = parse(name)
    if revision is None or not _PINNED.fullmatch(revision):
        why = "a campaign needs its revision, 40 hexadecimal digits, so that it stays the same model"
        raise ModelError(f"{name}: {why}; pull it and write the name that is printed: inverse-design models pull {name}")
    folder = place(repo, revision)
    if not folder.is_dir():
        raise ModelError(f"{name}: not on this machine (looked in {folder}); get it with: inverse-design models pull {name}")
    return folder


def pull(name: str) -> str:
    """Fetch a model, convert pickled weights once, and return its pinned name; raises ModelError.

    What is on this machine already, here or in the hub's own cache, is not fetched again; with HF_HUB_OFFLINE=1 nothing is.
    """
    repo, revision = parse(name)
    if revision is not None and _PINNED.fullmatch(revision) and place(repo, revision).is_dir():
        return name
    snapshot = _snapshot(name, repo, revision, FILES)
    pickled = not (snapshot / WEIGHTS).exists()
    if pickled:
        snapshot = _snapshot(name, repo, snapshot.name, (PICKLED,))
    pinned = f"hub:{repo}@{snapshot.name}"
    folder = place(repo, snapshot.name)
    root().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root(), prefix=".part-") as part:
        made = Path(part) / "model"
        made.mkdir()
        for file in (*FILES, *((PICKLED,) if pickled else ())):
            if (snapshot / file).exists():
                _link((snapshot / file).resolve(), made / file)
        refuse_code(made)
        record(made, pinned)
        if not folder.exists():
            made.replace(folder)
    return pinned


def refuse_code(folder: Path) -> None:
    """Raise ModelError unless config.json in `folder` describes a model that needs no code but ours."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path.name}: cannot be read ({error}); wanted a repository with a T5 checkpoint") from error
    if not isinstance(config, dict) or "auto_map" in config:
        raise ModelError(
            f"{path.name}: asks to run code of its own (auto_map), which is refused; only plain checkpoints are read"
        )


def record(folder: Path, source: str) -> None:
    """Convert pickled weights in `folder` if there are no others, drop them, and write the SHA-256 of every file."""
    converted = None
    if not (folder / WEIGHTS).exists():
        from inverse_design.text2text.pickled import convert_pickled

        convert_pickled(folder)
        converted = sha256(folder / PICKLED)
        if source.startswith("hub:"):
            (folder / PICKLED).unlink()
    files = {file: sha256(folder / file) for file in FILES if (folder / file).exists()}
    content = {"format": 1, "source": source, "converted_from": converted, "files": files}
    (folder / RECORD).write_bytes(sealed(content, indent=1))


def recorded(folder: Path) -> dict[str, Any]:
    """Return the record of a model folder, {} where it has none; raises ModelError for a damaged one."""
    path = folder / RECORD
    try:
        return unsealed(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: damaged ({error}); delete the folder and pull the model again") from error


def checked(folder: Path, found: Mapping[str, str]) -> None:
    """Raise ModelError where a file is not what was recorded when it came; `found` maps names to SHA-256."""
    for file, wanted in recorded(folder).get("files", {}).items():
        if file in found and found[file] != wanted:
            raise ModelError(f"{folder / file}: changed since it was pulled or converted; delete the folder and get it again")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file of any size, in hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _link(source: Path, target: Path) -> None:
    """Share the bytes of a file in the hub's cache, or copy them where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _snapshot(name: str, repo: str, revision: str | None, files: tuple[str, ...]) -> Path:
    """Return the folder of the hub's cache that holds `files` of a model, as far as it has them."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(files), etag_timeout=5))
    except (RepositoryNotFoundError, RevisionNotFoundError, GatedRepoError) as error:
        reason = "the hub has no such model or revision, or it is not public"
        raise ModelError(f"{name}: {reason}; check the name, or log in with: hf auth login") from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        advice = f"run inverse-design models pull {name} on a machine with network, and copy its folder into {root()}"
        raise ModelError(f"{name}: not on this machine, and the hub gives no answer ({reason}); {advice}") from error
