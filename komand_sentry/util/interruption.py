"""End interrupted work as a failed step: the runtime reports any other interruption as a success without an output."""

import signal
import threading
from types import TracebackType

from insightconnect_plugin_runtime.exceptions import PluginException


class _Terminated(SystemExit):
    """SIGTERM was received."""


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
