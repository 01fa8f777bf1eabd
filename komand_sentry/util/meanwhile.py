"""Work that is done while a response is on its way, in the time that would else be spent on nothing but waiting."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")

# By context, because it has to get past the libraries that lie between who has work and who waits.
_WORK: ContextVar[Callable[[], object] | None] = ContextVar("work", default=None)


class Chore(Generic[T]):
    """Work that is done once: at the first opportunity, or at the latest when its result is asked for."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Callable[[], T] | None = work
        self._outcome: Future[T] = Future()

    def do(self) -> None:
        """Keeps what it raises for `result`: who gives it the opportunity has nothing to do with it."""
        # What the work has to work with is not needed any more, and a failure would keep it.
        work, self._work = self._work, None
        if work is None:
            return
        try:
            self._outcome.set_result(work())
        except Exception as failure:  # noqa: BLE001 - the network would else be blamed for it
            self._outcome.set_exception(failure)

    def result(self) -> T:
        """:raises Exception: what the work raised"""
        self.do()
        return self._outcome.result(timeout=0)


@contextmanager
def meanwhile(do: Callable[[], object]) -> Iterator[None]:
    """Has something done while the response to a request is on its way that is sent within the block. It is called
    again where a request is sent again.
    """
    token = _WORK.set(do)
    try:
        yield
    finally:
        _WORK.reset(token)


def work() -> None:
    """For who is about to wait: does what there is to do, if anything."""
    if waiting := _WORK.get():
        waiting()
