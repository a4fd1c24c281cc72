"""Campaign folders on S3 object storage, behind the same operations as a disk.

An object appears whole or not at all, so nothing is staged or renamed. What links and renames are to the lock of a
folder, conditional puts are here: `If-None-Match: *` makes it only if there is none, `If-Match` replaces exactly the
one that was seen. A store that ignores the conditions is refused at the first lock.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, cast

from campaigns.storage import Disk, explained
from inverse_design.errors import SpecError, StateError

SCHEME = "s3://"


def s3_path(text: str) -> Path:
    """Return an object path with the methods of `Path`. Raises SpecError without the extra that reaches S3."""
    try:
        from upath import UPath
    except ImportError as error:
        raise SpecError(f"{text}: object storage needs an extra: pip install 'inverse-design[s3]'") from error
    return cast(Path, UPath(text.rstrip("/"), use_listings_cache=False))


class ObjectStore(Disk):
    """Whole objects and conditional puts; lines are added by writing the object again, which the lease makes safe."""

    def read(self, path: Path) -> bytes:
        data: bytes = _system(path).cat_file(str(path))  # one request: of several, each might see another object
        return data

    def write(self, path: Path, data: bytes) -> None:
        with explained(path, f"write {len(data)} bytes"):
            _system(path).pipe_file(str(path), data)

    def claim(self, path: Path, data: bytes) -> bool:
        with explained(path, f"write {len(data)} bytes"):
            if not self._create(path, data):
                return False
            if self._create(path, data):
                raise StateError(f"{path}: this store ignores conditional writes, so two writers could not be told apart.")
            return True

    def _create(self, path: Path, data: bytes) -> bool:
        try:
            _system(path).pipe_file(str(path), data, mode="create")
        except FileExistsError:
            return False
        return True

    def exchange(self, path: Path, seen: bytes, data: bytes) -> bool:
        with explained(path, "take it over"):
            system = _system(path)
            try:
                tag = system.info(str(path), refresh=True)["ETag"]
                if self.read(path) != seen:
                    return False
            except FileNotFoundError:
                return False
            bucket, key, _ = system.split_path(str(path))
            try:
                system.call_s3("put_object", Bucket=bucket, Key=key, Body=data, IfMatch=tag)
            except OSError as error:
                if error.errno != errno.EINVAL:  # what s3fs makes of 412, precondition failed
                    raise
                return False
            return True

    def append(self, path: Path, line: bytes) -> None:
        with explained(path, f"add {len(line)} bytes"):
            before = path.read_bytes() if path.exists() else b""
            self.write(path, before + line + b"\n")

    def unlink(self, path: Path) -> None:
        _system(path).rm_file(str(path))

    def make_folder(self, path: Path) -> None:
        """Do nothing: there are no folders, only names."""

    def sweep(self, folder: Path) -> None:
        """Do nothing: nothing is left half made."""


def _system(path: Path) -> Any:
    return cast(Any, path).fs
