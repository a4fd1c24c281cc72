"""What a campaign needs of this machine, looked at before one wonders: versions, models, disk, Ray."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from campaigns.campaign import cores
from campaigns.models import GENERATORS, SURROGATES, find, offered
from inverse_design.errors import EngineError, ModelError

DISTRIBUTIONS = ("inverse-design", "ray", "torch", "transformers", "rdkit", "botorch", "gpytorch", "numpy", "pyarrow", "pydantic")
SHARED = ("nfs", "lustre", "gpfs", "beegfs", "cifs", "smb", "ceph", "gluster", "fuse", "9p", "afs")
DASHBOARD = 8265
MOUNTS = Path("/proc/mounts")
ROOM = 2 << 30
FILES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at: `fail` keeps a campaign from running, `warn` may surprise later."""

    what: str
    status: Literal["ok", "warn", "fail"]
    says: str


def examine(folder: Path, address: str | None) -> Iterator[Finding]:
    """Yield what was found, for campaigns in `folder` on the Ray cluster at `address`, or on one that starts here if None."""
    yield from _versions()
    yield from _models(folder)
    yield from _machine()
    yield from _disk("campaign folder", folder)
    yield from _disk("Ray's temporary folder", Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()))
    yield from _ray(address)
    yield dashboard(address)


def _versions() -> Iterator[Finding]:
    yield Finding(what="python", status="ok", says=f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in DISTRIBUTIONS:
        try:
            yield Finding(what=name, status="ok", says=version(name))
        except PackageNotFoundError:
            own = name == DISTRIBUTIONS[0]
            yield Finding(
                what=name,
                status="warn" if own else "fail",
                says="not installed: run from its folder" if own else "not installed; install this package again",
            )


def _models(folder: Path) -> Iterator[Finding]:
    from campaigns.ledger import Ledger

    known = Ledger.open(folder).manifest["models"] if (folder / "manifest.json").exists() else {}
    for name, bundled in (*((name, GENERATORS) for name in GENERATORS), *((name, SURROGATES) for name in SURROGATES)):
        try:
            model = find(name, bundled, folder)
            offered(model)
        except EngineError as error:
            yield Finding(what=name, status="fail", says=str(error))
            continue
        if known.get(name, model.digest) == model.digest:
            yield Finding(what=name, status="ok", says=f"sha256 {model.digest}")
        else:
            yield Finding(
                what=name, status="fail", says=f"sha256 {model.digest}, but the campaign in {folder} began with {known[name]}"
            )


def _machine() -> Iterator[Finding]:
    threads = os.environ.get("OMP_NUM_THREADS")
    yield Finding(
        what="processors", status="ok", says=f"{cores()} to use, OMP_NUM_THREADS {threads or 'not set'}; workers take one each"
    )
    if sys.platform != "win32":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        enough = limit == resource.RLIM_INFINITY or limit >= FILES
        yield Finding(
            what="open files",
            status="ok" if enough else "warn",
            says=f"at most {limit}" + ("" if enough else f"; Ray needs more on many cores: ulimit -n {FILES}"),
        )


def _disk(what: str, folder: Path) -> Iterator[Finding]:
    if not isinstance(folder, Path):
        yield Finding(what=what, status="ok", says=f"{folder}: object storage, locked by conditional writes")
        return
    there = folder.resolve()
    while not there.exists():
        there = there.parent
    kind = filesystem(there, MOUNTS)
    if kind.startswith(SHARED):
        yield Finding(
            what=what, status="warn", says=f"{there}: on {kind}, shared: a lock of another host is waited for up to 60 s"
        )
    elif kind in ("tmpfs", "ramfs"):
        yield Finding(what=what, status="warn", says=f"{there}: on {kind}, in memory: gone after a restart")
    else:
        yield Finding(what=what, status="ok", says=f"{there}: on {kind or 'an unknown file system'}")
    free = shutil.disk_usage(there).free
    writable = os.access(there, os.W_OK)
    yield Finding(
        what=f"{what}, room",
        status="fail" if not writable else "ok" if free >= ROOM else "warn",
        says=f"{free / 2**30:.1f} GiB free" if writable else f"{there} is not writable; name another folder or mend its rights",
    )


def filesystem(folder: Path, mounts: Path) -> str:
    """Return the type of the file system that a folder is on; empty where the system does not tell."""
    try:
        table = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    except OSError:
        return ""
    points = [(point.replace("\\040", " "), kind) for point, kind in table]
    return max(((len(point), kind) for point, kind in points if folder.is_relative_to(point)), default=(0, ""))[1]


def _ray(address: str | None) -> Iterator[Finding]:
    from campaigns.on_ray import probe

    if not address:
        yield Finding(what="Ray", status="ok", says="no RAY_ADDRESS: it is started here, on the loopback interface, for each run")
        return
    try:
        probe(address)
    except ModelError as error:
        yield Finding(what="Ray", status="fail", says=str(error))
    else:
        yield Finding(what="Ray", status="ok", says=f"answers at {address}")


def dashboard(address: str | None) -> Finding:
    """Ask for Ray's dashboard where others could: who reaches it without a token can run any code."""
    host = (address or "").removeprefix("ray://").rpartition(":")[0]
    for name in dict.fromkeys((host, socket.gethostname())):
        if not name or (place := _outside(name)) is None:
            continue
        try:
            with urllib.request.urlopen(f"http://{place}:{DASHBOARD}/api/version", timeout=2) as answer:
                opened = answer.status == 200
        except (urllib.error.URLError, OSError, ValueError):
            opened = False
        if opened:
            return Finding(
                what="Ray dashboard",
                status="fail",
                says=f"answers at {place}:{DASHBOARD} without a token: whoever reaches it can run code here. "
                "Set RAY_AUTH_MODE=token, or --dashboard-host=127.0.0.1, and start Ray again",
            )
    return Finding(what="Ray dashboard", status="ok", says="none is open to other machines")


def _outside(name: str) -> str | None:
    """Return the address of a name, unless it is this machine's own loopback."""
    try:
        found = socket.gethostbyname(name)
    except OSError:
        return None
    return None if found.startswith("127.") else found
