"""Room and turns for every department, so that one that floods the book takes neither from another."""

from __future__ import annotations

from collections import Counter, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Room:
    """Places for `most`, of which nobody can take all.

    Who holds n may take more only while as many as it would then hold are free. So one alone gets half, two a third
    each, k of them 1/(k+1) each: whoever holds nothing always finds room (the "dynamic threshold" of shared switch
    buffers, Choudhury and Hahne 1998). In an empty room one may take everything at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()
        self.taken = 0

    def has(self, name: str, places: int) -> bool:
        return self._held[name] + places <= self._most - self.taken

    def take(self, name: str, places: int) -> None:
        self._held[name] += places
        self.taken += places

    def give_back(self, name: str, places: int) -> None:
        self.taken -= places
        self._held[name] -= places
        if self._held[name] <= 0:
            del self._held[name]


class Turns(Generic[T]):
    """What waits, in order of arrival for each department, taken from the departments in turn."""

    def __init__(self, most: int) -> None:
        self._room = Room(most)
        self._queues: dict[str, deque[tuple[int, T]]] = {}
        self._turns: deque[str] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """How many events wait."""
        return self._room.taken

    def has_room(self, name: str, size: int) -> bool:
        return self._room.has(name, size)

    def add(self, name: str, size: int, work: T) -> None:
        if name not in self._queues:
            self._queues[name] = deque()
            self._turns.append(name)
        self._queues[name].append((size, work))
        self._room.take(name, size)
        self._count += 1

    def take(self) -> T:
        """The next work of the department whose turn it is. Raises IndexError when nothing waits."""
        name = self._turns.popleft()
        queue = self._queues[name]
        size, work = queue.popleft()
        self._room.give_back(name, size)
        self._count -= 1
        if queue:
            self._turns.append(name)
        else:
            del self._queues[name]
        return work

    def clear(self) -> list[T]:
        """Everything, which then waits no more."""
        works = [work for queue in self._queues.values() for _, work in queue]
        for name, queue in self._queues.items():
            self._room.give_back(name, sum(size for size, _ in queue))
        self._queues.clear()
        self._turns.clear()
        self._count = 0
        return works
