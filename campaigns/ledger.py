"""The campaign folder: what happened, in files that outlive any crash and can be copied anywhere.

campaign.yaml  resolved.yaml  manifest.json  rounds/000012.parquet  partial/  measurements/000000.json  metrics.jsonl  log.jsonl  exports/  report.html  LOCK
revisions/000001.yaml, where the spec was amended: revision 0 as the campaign was started, the last one in force
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from campaigns import rounds
from campaigns.lease import TTL, Lease
from campaigns.storage import Disk, canonical, disk_of, explained, sealed, unsealed
from inverse_design.errors import StateError
from inverse_design.protocols import Row
from inverse_design.spec import MAY_CHANGE
from inverse_design.state import Round

logger = logging.getLogger(__name__)

FORMAT = "inverse-design-campaign"
FORMAT_VERSION = 2
"""2: the digest of a round is of its file. 1: of its rows, which is still read."""
DISTRIBUTIONS = {"package": "inverse-design", "rdkit": "rdkit", "torch": "torch"}
IDENTITY = ("spec", "seed", "models")
ROUND = re.compile(r"\d{6,}\.parquet")
BEFORE_MANIFEST = {"LOCK", "resolved.yaml", "campaign.yaml", "rounds", "partial"}


class Ledger:
    """A campaign folder. `create` and `resume` give one to write to, and the only one; `open` gives one to read."""

    def __init__(self, folder: Path, manifest: Row, disk: Disk, lease: Lease | None) -> None:
        self.folder = folder
        self.manifest = manifest
        self._disk = disk
        self._lease = lease

    @classmethod
    def create(
        cls, folder: Path, source_text: str, resolved: Row, manifest: Row, *, ttl: float = TTL, disk: Disk | None = None
    ) -> Self:
        """Start a campaign in a new or empty folder.

        `manifest` has `spec` (digest of the part of the spec that decides results), `seed` and `models` (name to digest);
        format and versions are added. Raises StateError, changing nothing, if the folder is a campaign, foreign or locked.
        """
        disk = disk or disk_of(folder)
        refuse_used(folder)
        disk.make_folder(folder)
        lease = Lease.take(folder, disk, ttl)
        try:
            refuse_used(folder)  # another writer may have come and gone while this one took the lock
            whole = {"format": FORMAT, "format_version": FORMAT_VERSION, "versions": versions(), **manifest}
            disk.sweep(folder)
            for name in ("rounds", "partial"):
                disk.make_folder(folder / name)
            # The manifest last: a campaign exists once it does. A campaign.yaml without resolved.yaml is a user's own.
            disk.write(folder / "resolved.yaml", dump_yaml(resolved))
            disk.write(folder / "campaign.yaml", source_text.encode())
            disk.write(folder / "manifest.json", sealed(whole, indent=1))
        except Exception:
            lease.release()
            raise
        return cls(folder, whole, disk, lease)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a campaign to read. Raises StateError if there is none, it is damaged, or a newer version wrote it."""
        return cls(folder, read_manifest(folder), disk_of(folder), None)

    @classmethod
    def resume(cls, folder: Path, resolved: Row, manifest: Row, *, ttl: float = TTL, disk: Disk | None = None) -> Self:
        """Open a campaign to write. Raises StateError, changing nothing, if spec, seed or models differ, or it is locked."""
        disk = disk or disk_of(folder)
        stored = read_manifest(folder)
        refuse_changed(folder, stored, manifest, resolved)
        lease = Lease.take(folder, disk, ttl)
        try:
            for part in (folder, folder / "rounds", folder / "partial", folder / "measurements", folder / "exports"):
                disk.sweep(part)
            for name in ("rounds", "partial"):  # copying tools leave out empty folders
                disk.make_folder(folder / name)
            if stored["format_version"] < FORMAT_VERSION:  # rounds from here on would be damaged ones to an older version
                stored = stored | {"format_version": FORMAT_VERSION}
                disk.write(folder / "manifest.json", sealed(stored, indent=1))
            ledger = cls(folder, stored, disk, lease)
            ledger._drop_shards(before=len(ledger._paths()))
            if changes := differences(read_resolved(folder), resolved):
                ledger.append_metrics({"event": "resumed", "changed": changes})
                disk.write(folder / "resolved.yaml", dump_yaml(resolved))
            if stored["versions"] != versions():
                logger.warning("%s: started with versions %s, now %s: results may differ", folder, stored["versions"], versions())
        except Exception:
            lease.release()
            raise
        return ledger

    @classmethod
    def amend(cls, folder: Path, resolved: Row, identity: Row, *, disk: Disk | None = None) -> list[str]:
        """Put another spec in force from the next round on; return what changed. Old revisions are kept.

        `identity`: `spec` and `models` of the manifest from now on.
        Shards of the round in progress are dropped: their prompts were chosen by the old spec. Raises StateError if it is locked.
        """
        disk = disk or Disk()
        stored = read_manifest(folder)
        with cls(folder, stored, disk, Lease.take(folder, disk, TTL)) as ledger:
            changes = differences(read_resolved(folder), resolved)
            done = ledger._paths()
            revisions: list[Row] = stored.get("revisions", [])
            disk.make_folder(folder / "revisions")
            if not revisions:
                disk.write(folder / "revisions" / "000000.yaml", dump_yaml(read_resolved(folder)))
            disk.write(folder / "revisions" / f"{len(revisions) + 1:06d}.yaml", dump_yaml(resolved))
            ledger._drop_shards(before=len(done) + 1)
            # The manifest decides; whatever was written before it is written again if this is cut short.
            entry = {"from_round": len(done), "changed": changes, "models_before": stored["models"]}
            disk.write(folder / "manifest.json", sealed(stored | identity | {"revisions": [*revisions, entry]}, indent=1))
            disk.write(folder / "resolved.yaml", dump_yaml(resolved))
            ledger.append_metrics({"event": "amended", "changed": changes})
        return changes

    @property
    def spec_path(self) -> Path:
        """The spec in force: resolved.yaml, or the last revision where that was not reached after it."""
        resolved = self.folder / "resolved.yaml"
        if revisions := self.manifest.get("revisions"):
            last = self.folder / "revisions" / f"{len(revisions):06d}.yaml"
            was, now = read_resolved(self.folder), read_yaml(last)
            if {name: was.get(name) for name in now if name not in MAY_CHANGE} != {
                name: value for name, value in now.items() if name not in MAY_CHANGE
            }:
                return last
        return resolved

    def revisions(self) -> list[Row]:
        """Return the specs that were in force, the first one first; empty for a campaign that was never amended."""
        count = len(self.manifest.get("revisions", ())) + 1
        return [read_yaml(self.folder / "revisions" / f"{index:06d}.yaml") for index in range(count)] if count > 1 else []

    def rounds(self) -> Iterator[Round]:
        """Yield the finished rounds in order. Raises StateError, naming the file, if one is damaged or missing."""
        for path in self._paths():
            yield rounds.decode(path)

    def commit(self, record: Round) -> None:
        """Make a round durable, then drop its shards. Raises StateError if it is not the next one or the lease is lost."""
        lease = self._writable()
        if record.index != (expected := len(self._paths())):
            raise StateError(
                f"{self.folder}: round {record.index} cannot follow: the next one is round {expected}. Resume the campaign."
            )
        data = rounds.encode(record)
        lease.check()
        self._disk.write(self.folder / "rounds" / f"{record.index:06d}.parquet", data)
        self._drop_shards(before=record.index + 1)

    def shards(self, round_index: int, stage: str) -> dict[int, list[Row]]:
        """Return the finished shards of a stage, by index; a damaged one is left out and will be redone."""
        found = {}
        for path in sorted((self.folder / "partial").glob(f"{round_index:06d}-{stage}-*.json")):
            try:
                with explained(path, "read it"):
                    found[int(path.stem.rpartition("-")[2])] = unsealed(path.read_bytes())["rows"]
            except (ValueError, KeyError) as error:
                logger.warning("%s: damaged and will be redone (%s)", path, error)
        return found

    def keep_shard(self, round_index: int, stage: str, index: int, rows: list[Row]) -> None:
        """Make a finished shard of the round in progress durable. Stage: letters, digits, `_` and `.`."""
        if not re.fullmatch(r"[\w.]+", stage):
            raise ValueError(f"stage {stage!r} cannot be part of a file name")
        lease = self._writable()
        lease.check()
        self._disk.write(self.folder / "partial" / f"{round_index:06d}-{stage}-{index:06d}.json", sealed({"rows": rows}))

    def measurements(self) -> Iterator[Row]:
        """Yield what laboratories have told, in order. Raises StateError, naming the file, if one is damaged."""
        for path in self._measurements():
            with explained(path, "read it"):
                data = path.read_bytes()
            try:
                yield unsealed(data)
            except ValueError as error:
                raise StateError(f"{path}: damaged or edited ({error}). Put back a copy of it.") from error

    def keep_measurements(self, content: Row) -> None:
        """Make one more telling of a laboratory durable. Shards of the round in progress, decided without it, are made again."""
        lease = self._writable()
        self._drop_shards(before=len(self._paths()) + 1)
        self._disk.make_folder(self.folder / "measurements")
        lease.check()
        number = int(paths[-1].stem) + 1 if (paths := self._measurements()) else 0
        self._disk.write(self.folder / "measurements" / f"{number:06d}.json", sealed(content, indent=1))

    def append_metrics(self, row: Row) -> None:
        """Add a line to metrics.jsonl: timings and events, which decide nothing."""
        self._writable().check()
        self._disk.append(self.folder / "metrics.jsonl", canonical(row))

    def append_log(self, row: Row) -> None:
        """Add a line to log.jsonl: what a run said."""
        self._writable().check()
        self._disk.append(self.folder / "log.jsonl", canonical(row))

    def metrics(self) -> Iterator[Row]:
        """Yield the lines of metrics.jsonl, leaving out torn ones."""
        path = self.folder / "metrics.jsonl"
        with explained(path, "read it"):
            lines = path.read_bytes().splitlines() if path.exists() else []
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                logger.warning("%s: a torn line was left out", path)

    def close(self) -> None:
        """Let another process write."""
        if self._lease:
            self._lease.release()
            self._lease = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _writable(self) -> Lease:
        if self._lease is None:
            raise StateError(f"{self.folder}: opened to read. Resume the campaign to write to it.")
        return self._lease

    def _paths(self) -> list[Path]:
        folder = self.folder / "rounds"
        with explained(folder, "list it"):
            names = sorted(
                (path.name for path in folder.glob("*.parquet") if ROUND.fullmatch(path.name)), key=lambda name: int(name[:-8])
            )
        for index, name in enumerate(names):
            if name != f"{index:06d}.parquet":
                raise StateError(
                    f"{folder}: round {index} is missing but {name} is there. Put back a copy of it, or remove every "
                    "later round and resume: they are made again."
                )
        return [folder / name for name in names]

    def _measurements(self) -> list[Path]:
        return sorted((self.folder / "measurements").glob("[0-9]*.json"))

    def _drop_shards(self, before: int) -> None:
        for path in (self.folder / "partial").glob("*.json"):
            if path.name.partition("-")[0].isdigit() and int(path.name.partition("-")[0]) < before:
                self._disk.remove(path)


def refuse_used(folder: Path) -> None:
    """Raise StateError unless a campaign can start in `folder`: absent, empty, or left by one that never got started."""
    with explained(folder, "look into it"):
        if not folder.exists():
            return
        if not folder.is_dir():
            raise StateError(f"{folder}: is a file; a campaign needs a folder. Name another one.")
        names = {path.name for path in folder.iterdir() if not (path.name.startswith(".") and path.name.endswith(".tmp"))}
        if "manifest.json" in names:
            raise StateError(f"{folder}: already holds a campaign. Go on with it: resume {folder}")
        ours = names <= BEFORE_MANIFEST and ("resolved.yaml" in names or "campaign.yaml" not in names)
        if not ours or any(any((folder / name).glob("[!.]*")) for name in names & {"rounds", "partial"}):
            found = ", ".join(sorted(names)[:5])
            raise StateError(f"{folder}: is not empty and not a campaign (found {found}). Name a new or empty folder.")


def refuse_changed(folder: Path, stored: Row, manifest: Row, resolved: Row) -> None:
    """Raise StateError with a diff if what decides results is not what the campaign was started with."""
    if all(stored.get(name) == manifest.get(name) for name in IDENTITY):
        return
    changes = differences({name: stored.get(name) for name in IDENTITY}, {name: manifest.get(name) for name in IDENTITY})
    if stored.get("spec") != manifest.get("spec"):
        changes += differences(read_resolved(folder), resolved)
    raise StateError(
        f"{folder}: this campaign was started with another spec or model:\n  " + "\n  ".join(changes) + "\n"
        "Resume it with what it was started with, or run the new one in another folder."
    )


def read_manifest(folder: Path) -> Row:
    """Return the manifest. Raises StateError if it is absent, foreign, newer or damaged."""
    path = folder / "manifest.json"
    with explained(path, "read it"):
        if not path.exists():
            raise StateError(f"{folder}: holds no campaign. Start one: run campaign.yaml")
        data = path.read_bytes()
    try:
        raw = json.loads(data)
    except ValueError as error:
        raise StateError(f"{path}: damaged ({error}). Put back a copy of it.") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise StateError(f"{path}: not the manifest of a campaign. Name a campaign folder.")
    if raw.get("format_version") not in range(1, FORMAT_VERSION + 1):
        writer = raw.get("versions", {}).get("package", "an unknown version")
        raise StateError(
            f"{path}: format {raw.get('format_version')}, written by {writer}; this is {versions()['package']}, which reads "
            f"formats up to {FORMAT_VERSION}. Use that version."
        )
    try:
        return unsealed(data)
    except ValueError as error:
        raise StateError(f"{path}: damaged or edited ({error}). Put back a copy of it.") from error


def read_resolved(folder: Path) -> Row:
    return read_yaml(folder / "resolved.yaml")


def read_yaml(path: Path) -> Row:
    try:
        value = YAML(typ="safe", pure=True).load(path.read_bytes())
    except (OSError, YAMLError):  # written again at resume; the digest in the manifest is what decides
        return {}
    return value if isinstance(value, dict) else {}


def dump_yaml(value: Row) -> bytes:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    sink = BytesIO()
    yaml.dump(value, sink)
    return sink.getvalue()


def differences(before: Any, after: Any, where: str = "") -> list[str]:
    """Return one line for each leaf of two JSON values that differs, by its dotted path."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = [*before, *(key for key in after if key not in before)]
        return [line for key in keys for line in differences(before.get(key), after.get(key), f"{where}.{key}".lstrip("."))]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [line for i, pair in enumerate(zip(before, after, strict=True)) for line in differences(*pair, f"{where}[{i}]")]
    return [] if before == after else [f"{where}: was {json.dumps(before)}, now {json.dumps(after)}"]


@cache
def versions() -> dict[str, str]:
    """Return the versions that decide results, from the installed packages, importing none."""
    found = {}
    for name, distribution in DISTRIBUTIONS.items():
        try:
            found[name] = version(distribution)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
