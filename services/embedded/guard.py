"""Ends what `relatieboek up` started when that is killed without a word: `python -m services.embedded.guard`.

It reads one JSON document a line from stdin, the list of running processes in the order in which they are to end. When
the pipe closes and the last list is not empty, the supervisor is dead, and the guard ends them. A pipe works on every
system with processes, needs no polling, and cannot be forgotten: the kernel closes it whatever kills the supervisor.
"""

from __future__ import annotations

import json
import signal
import sys

from services.embedded.processes import Known, end


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    last: list[Known] = []
    for line in sys.stdin:
        try:
            last = [Known(**p) for p in json.loads(line)]
        except ValueError:  # the supervisor died in the middle of a line
            break
    end(last)


if __name__ == "__main__":
    main()
