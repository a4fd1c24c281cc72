"""Every write to a campaign folder: whole files that appear at once or not at all, and lines added to the end of one.

`Disk` is the only place that touches the file system to change it, so tests can fail, tear or drop any operation.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from inverse_design.errors import Interrupted, StateError

NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # absent on Windows
BINARY = getattr(os, "O_BINARY", 0)  # only on Windows
FULL = {errno.ENOSPC, errno.EDQUOT}
UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EPERM, errno.EBADF}


def canonical(value: Any) -> bytes:
    """Return the one JSON text of a value: equal values give equal bytes. Raises ValueError for NaN and infinities."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def sealed(content: dict[str, Any], indent: int | None = None) -> bytes:
    """Return a JSON object with the digest of its other fields in `sha256`."""
    sealing = content | {"sha256": hashlib.sha256(canonical(content)).hexdigest()}
    return json.dumps(sealing, allow_nan=False, ensure_ascii=False, indent=indent, sort_keys=True).encode() + b"\n"


def unsealed(data: bytes) -> dict[str, Any]:
    """Return what `sealed` was given. Raises ValueError if it is damaged."""
    content = json.loads(data)
    if not isinstance(content, dict) or content.pop("sha256", None) != hashlib.sha256(canonical(content)).hexdigest():
        raise ValueError("its checksum does not fit its content")
    return content


class Disk:
    """The changes of a file system that a campaign needs; `write` and `append` return once the bytes are durable."""

    def read(self, path: Path) -> bytes:
        """Return what a file holds that another process may be replacing."""
        return path.read_bytes()

    def open(self, path: Path, flags: int) -> int:
        return os.open(path, flags | os.O_WRONLY | NO_LINKS | BINARY, 0o666)

    def put(self, descriptor: int, data: bytes) -> int:
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        target.hardlink_to(source)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def mkdir(self, path: Path) -> None:
        path.mkdir()

    def sync_folder(self, folder: Path) -> None:
        if os.name == "nt":  # a folder cannot be opened, and a rename is durable without
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in UNSUPPORTED:  # some network file systems
                raise
        finally:
            self.close(descriptor)

    def write(self, path: Path, data: bytes) -> None:
        """Make `path` hold `data`, or leave it as it was. Raises Interrupted (disk full) or StateError (anything else)."""
        with explained(path, f"write {len(data)} bytes"):
            temporary = self.stage(path, data)
            try:
                self.replace(temporary, path)
            except OSError:
                self.discard(temporary)
                raise
            self.sync_folder(path.parent)

    def claim(self, path: Path, data: bytes) -> bool:
        """Make `path` hold `data` only if it does not exist; return whether it was this call that made it."""
        with explained(path, f"write {len(data)} bytes"):
            temporary = self.stage(path, data)
            try:
                self.link(temporary, path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    raise
                if not self.seize(path, data):
                    return False
            finally:
                self.discard(temporary)
            self.sync_folder(path.parent)
            return True

    def seize(self, path: Path, data: bytes) -> bool:
        """As `claim`, on file systems without hard links: a crash in the middle leaves a file cut short, but never two owners."""
        try:
            descriptor = self.open(path, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        try:
            self.put_all(descriptor, data)
            self.sync(descriptor)
        finally:
            self.close(descriptor)
        return True

    def exchange(self, path: Path, seen: bytes, data: bytes) -> bool:
        """Put `data` in the place of exactly the file that holds `seen`, which no two callers can both do; return whether."""
        moved = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        with explained(path, "take it over"):
            try:
                self.replace(path, moved)
            except FileNotFoundError:
                return False
            try:
                same = moved.read_bytes() == seen
                return self.claim(path, data if same else moved.read_bytes()) and same
            finally:
                self.discard(moved)

    def stage(self, path: Path, data: bytes) -> Path:
        """Return a new durable file with `data` beside `path`, for a rename that cannot cross file systems."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        descriptor = self.open(temporary, os.O_CREAT | os.O_EXCL)
        try:
            try:
                self.put_all(descriptor, data)
                self.sync(descriptor)
            finally:
                self.close(descriptor)
        except OSError:
            self.discard(temporary)
            raise
        return temporary

    def append(self, path: Path, line: bytes) -> None:
        """Add a line to the end of a file, on a line of its own even after a torn one."""
        with explained(path, f"add {len(line)} bytes"):
            start = b"\n" if torn(path) else b""
            descriptor = self.open(path, os.O_CREAT | os.O_APPEND)
            try:
                self.put_all(descriptor, start + line + b"\n")
                self.sync(descriptor)
            finally:
                self.close(descriptor)

    def put_all(self, descriptor: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self.put(descriptor, bytes(rest)) :]

    def remove(self, path: Path) -> None:
        """Remove a file if it is there."""
        with explained(path, "remove it"), suppress(FileNotFoundError):
            self.unlink(path)

    def make_folder(self, path: Path) -> None:
        """Make a folder, and those above it, if it is not there."""
        if path.is_dir():
            return
        with explained(path, "make the folder"):
            self.make_folder(path.parent)
            with suppress(FileExistsError):
                self.mkdir(path)
            self.sync_folder(path.parent)

    def discard(self, temporary: Path) -> None:
        with suppress(OSError):  # the failure that led here is the one to tell; the next writer sweeps
            self.unlink(temporary)

    def sweep(self, folder: Path) -> None:
        """Remove what a killed writer left half made in `folder`."""
        for temporary in folder.glob(".*.tmp"):
            self.discard(temporary)


def location(text: str | Path) -> Path:
    """Return the folder or file of that name, which may be on object storage."""
    if str(text).startswith("s3://"):
        from campaigns.object_store import s3_path

        return s3_path(str(text))
    return Path(text)


def disk_of(path: Path) -> Disk:
    """Return what writes to `path`."""
    if isinstance(path, Path):
        return Disk()
    from campaigns.object_store import ObjectStore

    return ObjectStore()


def torn(path: Path) -> bool:
    """Return whether a file ends in the middle of a line."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


@contextmanager
def explained(path: Path, action: str) -> Iterator[None]:
    """Turn an OSError on `path`, or what object storage raises in its place, into what a user can act on."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__ != "botocore.exceptions":
            raise
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
        if getattr(error, "errno", None) in FULL:
            raise Interrupted(
                f"{path}: cannot {action} ({reason}). Everything before is safe: free some space, then resume."
            ) from error
        raise StateError(
            f"{path}: cannot {action} ({reason}). Everything before is safe: mend the cause, then resume."
        ) from error
