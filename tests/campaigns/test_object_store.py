"""A campaign on object storage: one writer by conditional puts, and a whole campaign that is the same as on a disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from campaigns.ledger import Ledger
from campaigns.object_store import ObjectStore
from campaigns.storage import disk_of, location
from inverse_design.errors import StateError
from tests import s3
from tests.campaigns.test_loop import drive, spec

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # connections that a client keeps open


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    yield from s3.serve()


@pytest.fixture
def bucket(server: str, request: pytest.FixtureRequest) -> Path:
    return s3.folder(request.node.name)


def test_only_one_can_claim_and_only_what_was_seen_is_exchanged(bucket: Path) -> None:
    disk, lock = ObjectStore(), bucket / "LOCK"
    assert disk.claim(lock, b"first")
    assert not disk.claim(lock, b"second")
    assert not disk.exchange(lock, b"other", b"third")
    assert lock.read_bytes() == b"first"
    assert disk.exchange(lock, b"first", b"third")
    assert lock.read_bytes() == b"third"
    disk.remove(lock)
    disk.remove(lock)
    assert not disk.exchange(lock, b"third", b"fourth")
    assert not lock.exists()


def test_an_exchange_that_is_overtaken_fails(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = bucket / "LOCK"
    ObjectStore().write(lock, b"dead")
    monkeypatch.setattr(ObjectStore, "read", lambda store, path: store.write(path, b"swift") or b"dead")
    assert not ObjectStore().exchange(lock, b"dead", b"slow")
    monkeypatch.undo()
    assert lock.read_bytes() == b"swift"


def test_a_store_that_ignores_conditions_is_refused(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectStore, "_create", lambda self, path, data: True)
    with pytest.raises(StateError, match="ignores conditional writes"):
        Ledger.create(bucket, "", {}, {})


def test_a_missing_bucket_and_a_dead_server_are_told(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StateError, match="no-such-bucket/x/LOCK: cannot write"):
        Ledger.create(location("s3://no-such-bucket/x"), "", {}, {})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    clear = pytest.importorskip("s3fs").S3FileSystem.clear_instance_cache
    clear()
    with pytest.raises(StateError, match=r"cannot look into it \(Could not connect"):
        Ledger.create(location("s3://elsewhere/x"), "", {}, {})
    clear()


def test_a_campaign_on_object_storage_is_the_same_as_on_a_disk(bucket: Path, tmp_path: Path) -> None:
    short = spec(budget={"rounds": 1})
    on_disk, _ = drive(tmp_path / "run", short)
    stored, _ = drive(bucket / "run", short)
    assert stored.rows() == on_disk.rows()
    again, _ = drive(bucket / "run", short)
    assert again.rows() == on_disk.rows()
    name = "rounds/000000.parquet"
    assert (bucket / "run" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    assert not list((bucket / "run" / "partial").glob("*"))
    assert not (bucket / "run" / "LOCK").exists()
    assert type(disk_of(bucket)) is ObjectStore
