"""TLS 1.3 to NATS and to the API, with certificates made here: what is encrypted, what is refused, what cannot be
talked out of it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from events.errors import SetupError, Unavailable
from services.cli.main import app
from services.connections import connect
from services.containers import configuration
from services.embedded import credentials as store
from services.embedded.accounts import inbox_prefix, new_seed, public_key
from services.embedded.doors import signed_in
from services.embedded.engine import Engine
from services.embedded.nats import Nats, binary
from services.embedded.registration import add_department, book_keys
from services.listen import listening
from services.settings import Settings, as_environment, load
from services.tls import client_context
from services.wiring import make_context
from tests.certificates import Authority
from tests.ports import free_port
from tests.running_book import running


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls").issue()


@asynccontextmanager
async def served(server: Nats, config: dict[str, Any]) -> AsyncGenerator[None]:
    """The server with another configuration than `configure` writes."""
    server.directory.mkdir(parents=True, exist_ok=True)
    server.config.write_text(json.dumps(config))
    await server.start()
    try:
        yield
    finally:
        await server.stop()


class Encrypted(Nats):
    """Waits for a server that says nothing before a handshake."""

    async def start(self) -> None:
        await Engine.launch(self, [binary(), "-c", str(self.config)])
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    await writer.wait_closed()
                    return


@pytest.fixture
async def encrypted(
    settings: Settings, nats_server: Nats, authority: Authority, tmp_path: Path
) -> AsyncGenerator[tuple[Settings, str]]:
    """Settings for a server as `nats-config --tls` describes it, and the seed of its department `zorg`."""
    del nats_server
    seed, port = new_seed(), free_port()
    keys = book_keys(store.read(settings.credentials_path) or store.Credentials())
    config = json.loads(configuration(keys, {"zorg": public_key(seed)}, 1, 1, tls=str(authority.directory)))
    config["listen"] = f"127.0.0.1:{port}"
    config["jetstream"]["store_dir"] = str(tmp_path / "encrypted")
    server = Encrypted(tmp_path / "encrypted-nats", tmp_path / "encrypted.log", port)
    async with served(server, config):
        yield settings.model_copy(update={"nats_url": f"tls://127.0.0.1:{port}", "ca": authority.ca}), seed


def _seed(secret: SecretStr | None) -> str:
    assert secret is not None
    return secret.get_secret_value()


async def test_the_whole_book_over_tls(encrypted: tuple[Settings, str], authority: Authority) -> None:
    settings, seed = encrypted
    settings = settings.model_copy(update={"tls_cert": authority.cert, "tls_key": authority.key})
    await add_department(settings, "zorg", [f"urn:nld:oin:{settings.institution}:systeem:zorg"], ["*"])
    url = f"https://127.0.0.1:{settings.port}"
    async with running(settings, ["intake", "api"]) as book:
        # The command line finds the page by the settings, and checks its certificate.
        invoke = CliRunner(env=as_environment(settings)).invoke
        done = await asyncio.to_thread(invoke, app, ["status", "--json", "--data-dir", str(settings.data_dir)])
        assert json.loads(done.stdout)["log"]["head"] == 0
        assert str(book.client.base_url) == url
        async with signed_in(settings.nats_url, seed, prefix=inbox_prefix("zorg"), ca=authority.ca) as client:
            said = json.loads((await client.request("submit.zorg", b"{}", timeout=20)).data)
            assert said["verdict"] == "rejected"  # no event; but intake answered
        signed = await book.client.post(
            "/", data={"token": (await book.viewers())["all"]}, headers={"Origin": url}, follow_redirects=False
        )
        assert "Secure" in signed.headers["set-cookie"]


async def test_nats_speaks_tls_1_3_only(encrypted: tuple[Settings, str]) -> None:
    settings, _ = encrypted
    port = int(settings.nats_url.rpartition(":")[2])
    assert await asyncio.to_thread(_handshake, port, settings.ca, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        await asyncio.to_thread(_handshake, port, settings.ca, ssl.TLSVersion.TLSv1_2)
    seed = _seed(settings.nats_seed)
    with pytest.raises(Unavailable):  # unencrypted
        async with signed_in(settings.nats_url.replace("tls://", "nats://"), seed):
            pass
    with pytest.raises(Unavailable) as refused:  # signed by somebody else
        async with signed_in(settings.nats_url, seed):
            pass
    assert "certificate verify failed" in str(refused.value.__cause__)


def _handshake(port: int, ca: Path | None, most: ssl.TLSVersion) -> str | None:
    context = ssl.create_default_context(cafile=ca)
    context.maximum_version = most
    with socket.create_connection(("127.0.0.1", port)) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped:
            return wrapped.version()


async def test_a_service_says_whose_certificate_it_does_not_trust(encrypted: tuple[Settings, str]) -> None:
    settings, _ = encrypted
    context = make_context(settings.model_copy(update={"ca": None}), "intake")
    async with asyncio.timeout(20):
        with pytest.raises(SetupError, match="RELATIEBOEK_CA"):
            await connect(context.broker, context.engine)
    await context.engine.dispose()


async def test_nobody_between_can_talk_a_client_out_of_it(settings: Settings, authority: Authority) -> None:
    """A server (or whoever sits before it) that says in the clear that it wants no TLS gets no key and no signature."""
    heard: list[bytes] = []

    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"nonce":"abc","headers":true}\r\n'
        )
        heard.append(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(pretend, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(Unavailable):
            async with signed_in(f"tls://127.0.0.1:{port}", _seed(settings.nats_seed), ca=authority.ca):
                pass
    assert heard
    assert all(b"CONNECT" not in said and b"nkey" not in said for said in heard)


async def test_routes_of_a_cluster_want_a_certificate_of_both_sides(authority: Authority, tmp_path: Path) -> None:
    config = json.loads(
        configuration(book_keys_of(tmp_path), {}, 1, 3, "nats://127.0.0.1:1", tls=str(authority.directory))
    )
    port, routes = free_port(), free_port()
    config["listen"], config["cluster"]["listen"] = f"127.0.0.1:{port}", f"127.0.0.1:{routes}"
    config["jetstream"]["store_dir"] = str(tmp_path / "js")
    async with served(Encrypted(tmp_path / "nats", tmp_path / "nats.log", port), config):
        assert await _greeted(routes, client_context(authority.ca)) == b""
        known = client_context(authority.ca)
        known.load_cert_chain(authority.cert, authority.key)
        assert (await _greeted(routes, known)).startswith(b"INFO ")


async def _greeted(port: int, context: ssl.SSLContext) -> bytes:
    """What a server says first over TLS; nothing when it ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        async with asyncio.timeout(20):
            return await reader.readline()
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        writer.transport.abort()


def book_keys_of(directory: Path) -> Any:
    internal = store.Internal.fresh(Settings(data_dir=directory))
    return book_keys(store.Credentials(internal=internal))


async def test_the_api_speaks_tls_1_3_only(authority: Authority) -> None:
    async def hello(scope: Any, receive: Any, send: Any) -> None:
        del receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["scheme"].encode()})

    refused: list[tuple[str, int | None, str | None]] = []

    def tell(code: str, status: int | None, address: str | None) -> None:
        refused.append((code, status, address))

    async with listening(hello, "127.0.0.1", 0, cert=authority.cert, key=authority.key, refused=tell) as port:
        async with httpx.AsyncClient(verify=client_context(authority.ca)) as client:
            assert (await client.get(f"https://127.0.0.1:{port}/")).text == "https"
        assert await asyncio.to_thread(_handshake, port, authority.ca, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
        assert refused == []
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(_handshake, port, authority.ca, ssl.TLSVersion.TLSv1_2)
        with pytest.raises(httpx.TransportError):
            async with httpx.AsyncClient() as client:
                await client.get(f"http://127.0.0.1:{port}/?naam=geheim")
    assert refused == [("tls", None, None)] * 2


async def test_files_that_are_no_certificates_are_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    with pytest.raises(SetupError, match="RELATIEBOEK_TLS_CERT"):
        async with listening(None, "127.0.0.1", 0, cert=wrong, key=wrong):
            pass
    with pytest.raises(SetupError, match="RELATIEBOEK_CA"):
        client_context(wrong)
    with pytest.raises(SetupError, match="go together"):
        load(tls_cert=wrong)
    with pytest.raises(SetupError, match="all servers with the same"):
        load(nats_url="tls://a:4222,nats://b:4222")
