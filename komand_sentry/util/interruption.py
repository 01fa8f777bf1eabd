"""What a signal does: it stops a trigger, and makes a step fail, which the runtime would report as a success."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn, Self

from insightconnect_plugin_runtime.exceptions import PluginException


class _Terminated(SystemExit):
    """SIGTERM was received."""


class Termination:
    """A context that SIGTERM or SIGINT ends, without an error. For work that goes on until it is stopped.

    `is_requested`: a signal was received. Python drops an exception that is raised within a finalizer, so the work must
    look at this, too.

    Only the main thread can handle signals. Elsewhere, the context does nothing.
    """

    def __init__(self) -> None:
        self._is_deferring = False
        self.is_requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        return isinstance(error, _Terminated)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """A context that completes before the signal ends the work."""
        self._is_deferring = True
        try:
            yield
        finally:
            self._is_deferring = False
            if self.is_requested:
                self._end()

    def _handle(self, _number: int, _frame: object) -> None:
        self.is_requested = True
        if not self._is_deferring:
            self._end()

    def _end(self) -> NoReturn:
        # A second signal must not interrupt the end of the work.
        for number in self._previous:
            signal.signal(number, signal.SIG_IGN)
        raise _Terminated


class Interruptible:
    """A context that converts an interruption (SIGINT, SIGTERM, a worker timeout of gunicorn) to a PluginException.

    Every exception that is not an Exception is an interruption.
    """

    def __enter__(self) -> None:
        self._handles_sigterm = _handle_sigterm()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._handles_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if error is not None and not isinstance(error, Exception):
            raise PluginException(
                cause=f"The step was interrupted before it completed: {_reason(error)}.",
                assistance="Run the step again. Sentry may already have the event or the change, because the response "
                "was not read. If HTTP mode interrupts long steps (with 1 thread per worker, after 30 seconds), start "
                "it with at least 2 threads per worker, or decrease the timeout of the connection.",
                data=type(error).__name__.lstrip("_"),
            ) from None


def _handle_sigterm() -> bool:
    """Handle SIGTERM if nothing else does. The kernel discards signals that process 1 of a container does not handle.

    :returns: whether the handler was installed. Only the main thread can install one
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return False
    signal.signal(signal.SIGTERM, _terminate)
    return True


def _terminate(number: int, _: object) -> None:
    # A second signal must not interrupt the error handling of the first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Terminated(128 + number)


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "the process received SIGINT"
    if isinstance(error, _Terminated):
        return "the process received SIGTERM"
    return "its process is ending, as after a worker timeout of HTTP mode"
