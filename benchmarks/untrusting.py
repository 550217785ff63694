"""Intake that leaves out, while it is told to, what keeps people and departments safe: nothing is encrypted, no key is
wrapped, nobody's authority is asked. There to be measured against (`intake_trust_share`), in a book of its own; no
service has such a switch. SIGUSR1 turns it: both ways run in one process, on the same caches, within the same second.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from events import keys, recording
from events.catalog import Submission
from services.intake import arriving
from services.intake.app import main
from services.settings import load


class _Switch:
    def __init__(self) -> None:
        self.trusting = True

    def turn(self, *_: object) -> None:
        self.trusting = not self.trusting


def _install(switch: _Switch) -> None:
    record: Any = recording
    seal, wrap, authority = record._sealed, keys.RingWrapper.wrap, arriving.authority

    def sealed(sub: Submission, *rest: Any) -> dict[str, Any]:
        return seal(sub, *rest) if switch.trusting else sub.data

    async def wrapped(wrapper: keys.RingWrapper, named: Sequence[keys.Named]) -> list[bytes]:
        return await wrap(wrapper, named) if switch.trusting else [key for _, key in named]

    def objections(*asked: Any) -> list[Any]:
        return authority(*asked) if switch.trusting else []

    record._sealed = sealed
    changed: Any = keys.RingWrapper
    changed.wrap = wrapped
    changed = arriving
    changed.authority = objections


if __name__ == "__main__":
    switch = _Switch()
    _install(switch)
    signal.signal(signal.SIGUSR1, switch.turn)
    main(load())
