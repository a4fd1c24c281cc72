"""An S3 server on the loopback interface, for tests: requests go over a real socket in the real protocol."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

BUCKET = "campaigns"


def serve() -> Iterator[str]:
    """Yield the address of a server with an empty bucket; skip where the extras are not installed."""
    server_module = pytest.importorskip("moto.server")
    fsspec = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    given = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with mock.patch.dict(os.environ, given):
        fsspec.S3FileSystem.clear_instance_cache()
        fsspec.S3FileSystem().makedirs(BUCKET, exist_ok=True)
        yield address
        fsspec.S3FileSystem.clear_instance_cache()
    server.stop()


def folder(name: str) -> Path:
    """Return the folder of that name in the bucket."""
    from campaigns.storage import location

    return location(f"s3://{BUCKET}/{name}")
