"""What a token behind PKCS#11 does beside the suite of the port (`test_keys`), against the real SoftHSM."""

from __future__ import annotations

import asyncio
import secrets
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from pydantic import SecretStr

from events.errors import KeyMissing, SetupError, Unavailable
from events.keys import Ring, head_of, key_id_of
from services.keys import first_key, key_wrapper
from services.pkcs11 import TokenWrapper
from services.settings import Settings, load
from tests.softhsm import LIBRARY, directory, needs_softhsm, new_token

pytestmark = needs_softhsm

KEYS = [(b"event:%d" % n, secrets.token_bytes(64)) for n in range(250)]  # more than one turn of the token


async def opens(keeper: Any, wrapped: list[bytes]) -> bool:
    return await keeper.unwrap([(n, w) for (n, _), w in zip(KEYS, wrapped, strict=True)]) == [k for _, k in KEYS]


async def test_a_key_cannot_be_taken_out_of_it() -> None:
    import pkcs11

    token = new_token()
    keeper = token.keeper()
    key_id = await keeper.add_key()

    def try_it(session: pkcs11.Session) -> tuple[bool, bool]:
        (key,) = list(session.get_objects({pkcs11.Attribute.ID: key_id.encode()}))
        with pytest.raises(pkcs11.AttributeSensitive):
            key[pkcs11.Attribute.VALUE]
        return key[pkcs11.Attribute.SENSITIVE], key[pkcs11.Attribute.EXTRACTABLE]

    assert await keeper._token.do(try_it) == (True, False)  # pyright: ignore[reportPrivateUsage]  in the library's own thread


async def test_a_rotation_reaches_who_runs_already_and_a_dropped_key_is_gone() -> None:
    token = new_token()
    running, operator = token.keeper(), token.keeper()
    first = await operator.add_key()
    before = await running.wrap(KEYS)
    second = await operator.add_key()
    third = await operator.add_key()
    assert first < second < third  # made within one minute, and in order all the same
    assert await running.ids() == [first, second, third]
    assert await running.primary() == third
    after = await running.wrap(KEYS)
    assert ({key_id_of(w) for w in before}, {key_id_of(w) for w in after}) == ({first}, {third})
    assert await opens(running, before)
    await operator.drop_key(first)
    with pytest.raises(KeyMissing, match=first):
        await opens(running, before)
    assert await opens(running, after)
    with pytest.raises(KeyMissing, match=first):
        await operator.drop_key(first)


async def test_ids_of_an_operator_are_never_overtaken() -> None:
    import pkcs11

    token = new_token()
    keeper = token.keeper()
    await keeper.add_key()

    def give(session: pkcs11.Session) -> None:
        writing = session.token.open(rw=True)
        for label, id_ in (("relatieboek", b"z2026001"), ("relatieboek", b"too-long-id"), ("of others", b"z9999999")):
            writing.generate_key(pkcs11.KeyType.AES, 256, id=id_, label=label, store=True)
        writing.close()

    await keeper._token.do(give)  # pyright: ignore[reportPrivateUsage]
    assert await keeper.primary() == "z2026001"
    assert await opens(keeper, await keeper.wrap(KEYS))
    with pytest.raises(SetupError, match="id van uzelf"):
        await keeper.add_key()


# What python-pkcs11 destroys after a search whose session is over tells so once more, where nobody can catch it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_token_that_is_away_is_unavailable_and_is_used_again_when_it_comes_back() -> None:
    import pkcs11

    token = new_token()
    keeper, another = token.keeper(), token.keeper()
    await keeper.add_key()
    wrapped = await keeper.wrap(KEYS)
    assert await opens(another, wrapped)
    away = directory().with_name("away")
    directory().rename(away)
    directory().mkdir()
    try:
        pkcs11.lib(str(LIBRARY)).finalize()  # as after a device that went away: every session is over
        for one in (keeper, another):
            with pytest.raises(Unavailable, match="NoSuchToken"):
                await one.wrap(KEYS)
    finally:
        directory().rmdir()
        away.rename(directory())
    assert await opens(keeper, wrapped)
    assert await opens(another, await keeper.wrap(KEYS))


async def test_a_token_that_hangs_costs_its_time_limit_and_no_more() -> None:
    token = new_token()
    await token.keeper().add_key()
    answer = threading.Event()

    def pin() -> str:  # called in the library's thread, like the library itself
        answer.wait()
        return token.pin

    keeper = TokenWrapper(str(LIBRARY), token.label, pin, within_s=0.2)
    try:
        for _ in range(3):
            with pytest.raises(Unavailable, match="in time"):
                await keeper.wrap(KEYS)
    finally:
        answer.set()
    wrapped = await token.keeper().wrap(KEYS)
    assert await opens(token.keeper(), wrapped)
    async with asyncio.timeout(60):
        while True:
            with suppress(Unavailable):  # its time limit is short, and the machine may be busy
                assert await opens(keeper, wrapped)
                break
            await asyncio.sleep(0.01)


async def test_many_at_once_from_several_callers() -> None:
    token = new_token()
    keepers = [token.keeper() for _ in range(4)]
    await keepers[0].add_key()
    wrapped = await asyncio.gather(*(keeper.wrap(KEYS) for keeper in keepers for _ in range(5)))
    assert len({w for one in wrapped for w in one}) == 20 * len(KEYS)
    assert all(await asyncio.gather(*(opens(k, w) for k, w in zip(keepers * 5, wrapped, strict=True))))


async def test_a_wrong_pin_is_told_without_it_and_a_mended_one_is_taken(tmp_path: Path) -> None:
    token = new_token()
    path = tmp_path / "pin"
    path.write_text("geheim-1234\n")
    settings = Settings(data_dir=tmp_path).model_copy(
        update=token.settings | {"pkcs11_pin": None, "pkcs11_pin_file": path}
    )
    keeper = key_wrapper(settings)
    for _ in range(3):
        with pytest.raises(SetupError, match="weigert de pincode") as caught:
            await keeper.wrap(KEYS)
        assert "geheim" not in str(caught.value)
    path.write_text(token.pin + "\n")
    await first_key(settings)
    assert await opens(keeper, await keeper.wrap(KEYS))
    path.unlink()
    with pytest.raises(SetupError, match="PIN_FILE"):
        await key_wrapper(settings).primary()


async def test_without_a_key_or_a_library_or_the_package_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = new_token()
    with pytest.raises(SetupError, match="keys rotate"):
        await token.keeper().wrap(KEYS)
    with pytest.raises(SetupError, match="niet te laden"):
        await TokenWrapper(str(tmp_path / "none.so"), "a", lambda: "1", within_s=5).primary()
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(SetupError, match="python-pkcs11"):
        await token.keeper().primary()


async def test_the_first_start_makes_the_first_key_and_no_other() -> None:
    token = new_token()
    settings = Settings(**token.settings)
    await first_key(settings)
    ids = await token.keeper().ids()
    await first_key(settings)
    assert len(ids) == 1
    assert await token.keeper().ids() == ids
    other = new_token()
    await first_key(Settings(**other.settings, pkcs11_opens_only=True))
    assert await other.keeper().ids() == []


async def test_from_a_ring_to_a_token_and_back(tmp_path: Path) -> None:
    token, path = new_token(), tmp_path / "ring"
    path.write_text(Ring.fresh().with_new().text())
    ring = Settings(data_dir=tmp_path, key_ring_file=path)
    to, back = (ring.model_copy(update=token.settings | {"pkcs11_opens_only": only}) for only in (False, True))
    await first_key(to)
    by_ring = await key_wrapper(ring).wrap(KEYS)
    by_token = await key_wrapper(to).wrap(KEYS)
    assert await key_wrapper(to).primary() == await token.keeper().primary()
    assert await key_wrapper(back).primary() == await key_wrapper(ring).primary()
    mixed = [a if n % 3 else b for n, (a, b) in enumerate(zip(by_ring, by_token, strict=True))]
    for settings in (to, back):
        assert await opens(key_wrapper(settings), mixed)
        with pytest.raises(InvalidTag):
            await key_wrapper(settings).unwrap([(b"another", mixed[0])])
        with pytest.raises(KeyMissing, match="00000000"):
            await key_wrapper(settings).unwrap([(b"a", head_of("00000000") + bytes(40))])
    alone = to.model_copy(update={"key_ring_file": None})
    assert await opens(key_wrapper(alone), by_token)
    with pytest.raises(KeyMissing):
        await opens(key_wrapper(alone), mixed)
    assert await opens(key_wrapper(ring), by_ring)


def test_the_settings_say_what_is_missing_and_show_no_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELATIEBOEK_PKCS11_MODULE", "/lib/token.so")
    monkeypatch.setenv("RELATIEBOEK_PKCS11_TOKEN", "relatieboek")
    with pytest.raises(SetupError, match="PIN_FILE"):
        load()
    monkeypatch.setenv("RELATIEBOEK_PKCS11_PIN", "geheim-1234")
    settings = load()
    assert settings.pkcs11_pin == SecretStr("geheim-1234")
    assert "geheim" not in repr(settings)
