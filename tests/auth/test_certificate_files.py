"""A certificate that is renewed while the server runs."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from proxy import certificates
from proxy.auth.certificate import self_signed
from proxy.auth.tls import TlsContext
from proxy.certificates import CertificateFiles, certificate_followed, open_tls
from proxy.config.loading import load_config

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


@dataclass
class Shown:
    tls_context: TlsContext | None


def made(folder: Path) -> bytes:
    """A certificate and its key, in one file's text."""
    return self_signed(folder, ("localhost",), NOW)[0].read_bytes()


async def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def test_a_renewed_certificate_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(certificates, "LOOK_SECONDS", 0.02)
    caplog.set_level(logging.INFO, "cubewire.tls")
    pair = tmp_path / "pair.pem"
    pair.write_bytes(made(tmp_path / "first"))
    config = load_config(None, {}, {"tls.certificate": str(pair), "tls.key": str(pair)})

    async def scenario() -> None:
        files = CertificateFiles.of(config)
        shown = Shown(open_tls(config))
        first = shown.tls_context
        async with certificate_followed(shown, files, partial(open_tls, config)):
            # As a Secret's mount is exchanged: by renaming.
            half = tmp_path / "half.pem"
            half.write_bytes(made(tmp_path / "second")[:300])
            half.replace(pair)
            await until(lambda: "not exchanged" in caplog.text)
            assert shown.tls_context is first
            shutil.copy(tmp_path / "second/server.pem", pair)
            await until(lambda: shown.tls_context is not first)
        second = shown.tls_context
        assert first is not None
        assert second is not None
        assert second.binding != first.binding
        assert caplog.text.count("not exchanged") == 1

    asyncio.run(scenario())


def test_what_changes_while_the_server_starts_is_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "LOOK_SECONDS", 0.02)
    pair = tmp_path / "pair.pem"
    pair.write_bytes(made(tmp_path / "first"))
    config = load_config(None, {}, {"tls.certificate": str(pair), "tls.key": str(pair)})

    async def scenario() -> None:
        files = CertificateFiles.of(config)
        shown = Shown(open_tls(config))
        first = shown.tls_context
        pair.write_bytes(made(tmp_path / "second"))
        async with certificate_followed(shown, files, partial(open_tls, config)):
            await until(lambda: shown.tls_context is not first)

    asyncio.run(scenario())


def test_nothing_is_followed_that_is_not_configured(tmp_path: Path) -> None:
    assert CertificateFiles.of(load_config(None, {})).paths == ()
    off = {"tls.mode": "off", "tls.certificate": str(tmp_path), "tls.key": str(tmp_path)}
    assert CertificateFiles.of(load_config(None, {}, off)).paths == ()
