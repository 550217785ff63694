"""The port `KeyWrapper`: one suite for every implementation, and what a ring is besides."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import select
import shlex
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from pydantic import SecretStr

from events.errors import KeyMissing, SetupError
from events.keys import KeyWrapper, Ring, RingWrapper, head_of, key_id_of, of_event, of_person
from services.embedded.credentials import Credentials, Internal, update
from services.keys import RingFile, first_key, key_wrapper, ring_of_command
from services.settings import Settings
from tests.softhsm import needs_softhsm, new_token


def _in_memory(_: Path) -> KeyWrapper:
    ring = Ring.fresh()
    return RingWrapper(lambda: ring)


def _in_environment(_: Path) -> KeyWrapper:
    return key_wrapper(Settings(key_ring=Ring.fresh().text()))  # pyright: ignore[reportArgumentType]  as the environment has it


def _in_file(where: Path) -> KeyWrapper:
    path = where / "ring"
    path.write_text(Ring.fresh().text() + "\n")
    return key_wrapper(Settings(key_ring_file=path))


def _in_credentials(where: Path) -> KeyWrapper:
    settings = Settings(data_dir=where)
    update(settings.credentials_path, lambda _: Credentials(internal=Internal.fresh(settings)))
    return key_wrapper(settings)


def printing(where: Path, code: str, *said: str) -> str:
    """A command as that of a KMS: a program of its own, in a file whose name wants quotes."""
    program = where / "kms van ons.py"
    program.write_text(code)
    return shlex.join([sys.executable, str(program), *said])


def _of_command(where: Path) -> KeyWrapper:
    held = where / "held"
    held.write_text(Ring.fresh().with_new().text() + "\n")
    return key_wrapper(Settings(key_ring_command=printing(where, SHOW, str(held))))


async def _in_token(_: Path) -> KeyWrapper:
    settings = Settings(**new_token().settings)
    await first_key(settings)
    return key_wrapper(settings)


async def _from_ring_to_token(_: Path) -> KeyWrapper:
    settings = Settings(**new_token().settings, key_ring=SecretStr(Ring.fresh().text()))
    await first_key(settings)
    return key_wrapper(settings)


async def _from_token_to_ring(_: Path) -> KeyWrapper:
    settings = Settings(**new_token().settings, key_ring=SecretStr(Ring.fresh().text()), pkcs11_opens_only=True)
    return key_wrapper(settings)


SHOW = "import sys; print(open(sys.argv[1]).read())"
KEEPERS: list[Callable[[Path], KeyWrapper]] = [_in_memory, _in_environment, _in_file, _of_command, _in_credentials]
IN_TOKENS: list[Callable[[Path], Awaitable[KeyWrapper]]] = [_in_token, _from_ring_to_token, _from_token_to_ring]


@pytest.fixture(
    params=[*KEEPERS, *(pytest.param(make, marks=needs_softhsm) for make in IN_TOKENS)],
    ids=lambda make: make.__name__.strip("_"),
)
async def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> KeyWrapper:
    made: KeyWrapper | Awaitable[KeyWrapper] = request.param(tmp_path)
    return await made if isinstance(made, Awaitable) else made


class TestEveryKeeper:
    async def test_it_opens_what_it_wrapped_in_the_order_of_the_question(self, keeper: KeyWrapper) -> None:
        keys = [(of_event(n), secrets.token_bytes(64)) for n in range(500)] + [(of_person("ref~1"), bytes(32))]
        wrapped = await keeper.wrap(keys)
        named = [(name, w) for (name, _), w in zip(keys, wrapped, strict=True)]
        assert await keeper.unwrap(named) == [key for _, key in keys]

    async def test_nothing_asked_is_nothing_answered(self, keeper: KeyWrapper) -> None:
        assert await keeper.wrap([]) == []
        assert await keeper.unwrap([]) == []

    async def test_the_same_key_never_looks_the_same(self, keeper: KeyWrapper) -> None:
        one, two = await keeper.wrap([(b"a", bytes(32)), (b"a", bytes(32))])
        assert one != two
        assert bytes(32) not in one

    async def test_what_is_wrapped_says_by_which_key(self, keeper: KeyWrapper) -> None:
        (wrapped,) = await keeper.wrap([(b"a", bytes(64))])
        assert key_id_of(wrapped) == await keeper.primary()
        assert wrapped.startswith(head_of(await keeper.primary()))
        assert len(wrapped) not in (32, 64)

    async def test_a_key_of_another_row_does_not_open(self, keeper: KeyWrapper) -> None:
        (wrapped,) = await keeper.wrap([(of_event(1), bytes(64))])
        with pytest.raises(InvalidTag):
            await keeper.unwrap([(of_event(2), wrapped)])

    async def test_a_key_that_was_altered_does_not_open(self, keeper: KeyWrapper) -> None:
        (wrapped,) = await keeper.wrap([(b"a", bytes(64))])
        with pytest.raises(InvalidTag):
            await keeper.unwrap([(b"a", wrapped[:-1] + bytes([wrapped[-1] ^ 1]))])

    async def test_a_key_encryption_key_that_is_not_there_is_said(self, keeper: KeyWrapper) -> None:
        (wrapped,) = await keeper.wrap([(b"a", bytes(64))])
        with pytest.raises(KeyMissing, match="00000000"):
            await keeper.unwrap([(b"a", head_of("00000000") + wrapped[9:])])

    async def test_a_key_that_is_not_wrapped_does_not_pass(self, keeper: KeyWrapper) -> None:
        for plain in (bytes(32), bytes(64)):
            with pytest.raises(KeyMissing):
                await keeper.unwrap([(b"a", plain)])


class TestRing:
    def test_its_text_reads_back(self) -> None:
        ring = Ring.fresh().with_new().with_new()
        again = Ring.read(ring.text())
        assert (again.primary, dict(again.keys)) == (ring.primary, dict(ring.keys))
        assert ring.text().startswith(ring.primary)

    def test_a_new_key_wraps_and_the_old_one_still_opens(self) -> None:
        old = Ring.fresh()
        new = old.with_new()
        assert new.primary != old.primary
        assert new.keys[old.primary] == old.keys[old.primary]
        assert new.without(old.primary).keys.keys() == {new.primary}

    @pytest.mark.parametrize("text", ["", "a:b", "0011223:" + "00" * 32, "00112233:00", "00112233:" + "0g" * 32])
    def test_anything_else_is_refused_without_showing_it(self, text: str) -> None:
        with pytest.raises(SetupError) as caught:
            Ring.read(text)
        assert not text or text not in str(caught.value)

    def test_a_ring_shows_no_key(self) -> None:
        ring = Ring.fresh()
        assert ring.keys[ring.primary].hex() not in repr(ring)

    async def test_a_file_that_changes_is_read_again(self, tmp_path: Path) -> None:
        path = tmp_path / "ring"
        first = Ring.fresh()
        path.write_text(first.text())
        keeper = RingWrapper(RingFile(path, bytes.decode))
        (wrapped,) = await keeper.wrap([(b"a", bytes(32))])
        second = first.with_new()
        path.write_text(second.text())
        assert await keeper.primary() == second.primary
        assert await keeper.unwrap([(b"a", wrapped)]) == [bytes(32)]


class TestCommand:
    def test_it_may_print_base64_as_a_kms_does(self, tmp_path: Path) -> None:
        ring = Ring.fresh().with_new()
        encoded = base64.b64encode(ring.text().encode() + b"\n").decode()
        found = ring_of_command(printing(tmp_path, "import sys; print(sys.argv[1])", encoded))
        assert found.text() == ring.text()

    async def test_it_goes_before_the_environment_and_no_shell_reads_it(self, tmp_path: Path) -> None:
        ring = Ring.fresh()
        command = printing(tmp_path, "import sys; print(sys.argv[1]); assert sys.argv[2:] == ['$HOME', ';', '|', 'x']",
                           ring.text(), "$HOME", ";", "|", "x")  # fmt: skip
        settings = Settings(key_ring_command=command, key_ring=SecretStr(Ring.fresh().text()))
        assert await key_wrapper(settings).primary() == ring.primary

    def test_it_gets_no_secret_of_the_book(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RELATIEBOEK_LOOKUP_KEY", "ab" * 32)
        monkeypatch.setenv("DATABASE_URL", "postgresql://a:b@c/d")
        monkeypatch.setenv("VAULT_ADDR", Ring.fresh().text())
        code = (
            "import os; assert not [n for n in os.environ if n.startswith(('RELATIEBOEK', 'DATABASE'))]; "
            "print(os.environ['VAULT_ADDR'])"
        )
        assert ring_of_command(printing(tmp_path, code)).text() == os.environ["VAULT_ADDR"]

    @pytest.mark.parametrize(
        ("code", "said"),
        [
            ("print('geheim:geheim')", "sleutelring is onjuist"),
            ("print('geheim')", "gaf geen sleutelring"),
            ("import sys; sys.stdout.buffer.write(b'\\xff:geheim')", "gaf geen sleutelring"),
            ("", "sleutelring is onjuist"),
            ("import sys; print('geheim'); print('geheim', file=sys.stderr); sys.exit(3)", "eindigde met 3"),
            ("while True: print('geheim' * 1000)", "veel te veel"),
        ],
    )
    def test_what_goes_wrong_is_told_without_its_output(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str], code: str, said: str
    ) -> None:
        with pytest.raises(SetupError, match=said) as caught:
            ring_of_command(printing(tmp_path, code))
        shown = "".join(traceback.format_exception(caught.value)).replace(code, "")
        assert "geheim" not in str(caught.value)
        assert "geheim:geheim" not in shown
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("command", ["geen-zulk-programma --geheim", "'geheim", " "])
    def test_what_cannot_run_is_told(self, command: str) -> None:
        with pytest.raises(SetupError, match="RELATIEBOEK_KEY_RING_COMMAND kan niet") as caught:
            ring_of_command(command)
        assert "geheim" not in str(caught.value)

    def test_it_ends_in_time_with_all_that_it_started(self, tmp_path: Path) -> None:
        started, program = tmp_path / "started", tmp_path / "waits.sh"
        program.write_text('sleep 600 & echo $! > "$1"; wait')  # a shell has started long before its time is up
        with pytest.raises(SetupError, match="was na 4 seconden niet klaar"):
            ring_of_command(shlex.join(["sh", str(program), str(started)]), within_s=4)
        with contextlib.suppress(ProcessLookupError):  # gone already
            child = os.pidfd_open(int(started.read_text()))
            assert select.select([child], [], [], 60)[0], "it lives on"
            os.close(child)


class TestNoRing:
    def test_without_any_ring_it_says_what_to_set(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="RELATIEBOEK_KEY_RING"):
            key_wrapper(Settings(data_dir=tmp_path))
