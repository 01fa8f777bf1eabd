"""Stack traces of an event: read the frames of its exceptions or threads, and render them as text. Without I/O.

Events come from many SDKs and server versions, so any value may be missing or have another type.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from komand_sentry.util.sentry.markdown import shorten
from komand_sentry.util.sentry.normalize import Record

MAX_EXCEPTIONS = 10
_MAX_TITLE = 300
_MAX_NAME = 160
_MAX_LINE_NUMBER = 2**53

_WHITE_SPACE = re.compile(r"\s+")
# The function of these is unique only with its module (package, class).
_QUALIFIED_PLATFORMS = ("csharp", "go", "java")
# The filename of these has no directory.
_PATH_PLATFORMS = ("c", "cocoa", "go", "native", "objc", "rust", "swift")


class Frame(NamedTuple):
    """One call.

    :param line: 0 if unknown
    :param address: of the instruction, and the library that it is in
    :param source: the text of the line
    """

    platform: str
    file: str
    function: str
    line: int
    column: int
    address: str
    source: str
    is_in_app: bool

    def text(self) -> str:
        """The call in the form of its platform, with its source on a second line."""
        if self.platform == "python":
            call = f'  File "{self.file or "<unknown>"}", line {self.line or "?"}, in {self.function or "<unknown>"}'
        else:
            numbers = (str(number) for number in (self.line, self.column) if number)
            place = ":".join((self.file, *numbers)) if self.file else ""
            parts = (self.function or "<unknown>", f"({place})" if place else "", self.address)
            call = f"  at {' '.join(filter(None, parts))}"
        return f"{call}\n    {self.source}" if self.source else call


class Trace(NamedTuple):
    """The calls that led to an exception, or those of a thread.

    :param title: type and value of the exception, "" for a thread
    :param frames: in the order of the calls
    """

    title: str
    frames: tuple[Frame, ...]

    @property
    def location(self) -> Frame | None:
        """The innermost frame in the application's own code, otherwise the innermost one, None without frames."""
        in_app = (frame for frame in reversed(self.frames) if frame.is_in_app)
        return next(in_app, self.frames[-1] if self.frames else None)


def traces_of(event: Record) -> tuple[Trace, ...]:
    """The stack traces of an event: one per exception, the oldest cause first, or that of the failing thread."""
    platform = as_text(event.get("platform"))
    values = as_records(entry_of(event, "exception").get("values"))
    traces = [Trace(_title(value), _frames(value.get("stacktrace"), platform)) for value in values]
    if traces and traces[-1].frames:
        return tuple(traces)
    # SDKs of native platforms send the frames of the exception with its thread.
    thread_id = values[-1].get("threadId") if values else None
    frames = _thread_frames(event, platform, thread_id) or _frames(entry_of(event, "stacktrace"), platform)
    title = traces[-1].title if traces else ""
    return (*traces[:-1], Trace(title, frames)) if traces or frames else ()


def render(traces: tuple[Trace, ...], max_length: int) -> str:
    """Stack traces as text of limited length: frames in the order of the calls, the failing one last.

    Python's form starts with the cause. That of other platforms starts with the raised exception, and `Caused by:`
    introduces each cause. What is too long loses the outermost frames.

    :param traces: the oldest cause first
    """
    traces = traces[-MAX_EXCEPTIONS:]
    frames = [frame for trace in traces for frame in trace.frames]
    if not frames:
        return ""
    is_python = frames[-1].platform == "python"
    sections: list[str] = []
    ordered = traces if is_python else traces[::-1]
    for position, trace in enumerate(ordered):
        share = (max_length - sum(len(section) + 2 for section in sections)) // (len(ordered) - position) - 2
        sections.append(_section(trace, is_python, position > 0, share))
    return ("\n\n" if is_python else "\n").join(filter(None, sections))[:max_length]


def as_text(value: Any) -> str:
    """A text or a number as text, "" for anything else."""
    is_plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return str(value) if is_plain else ""


def as_record(value: Any) -> Record:
    """The value if it is an object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def as_records(value: Any) -> list[Record]:
    """The objects of a list; none if it is not a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def entry_of(event: Record, kind: str) -> Record:
    """The data of the event's entry of a type, such as exception, threads, message or request."""
    entries = as_records(event.get("entries"))
    return next((as_record(entry.get("data")) for entry in entries if entry.get("type") == kind), {})


def one_line(text: str, max_length: int) -> str:
    """A text on one line, truncated."""
    # Only search the part of a long text that can remain.
    return shorten(_WHITE_SPACE.sub(" ", text[: 4 * max_length]).strip(), max_length)


def _section(trace: Trace, is_python: bool, is_next: bool, max_length: int) -> str:
    title = one_line(trace.title, max(min(_MAX_TITLE, max_length // 3), 4))
    if is_python:
        link = "The above exception led to the following exception:\n\n" if is_next else ""
        before, after = f"{link}Traceback (most recent call last):", title
    else:
        before, after = f"{'Caused by: ' if is_next else ''}{title}", ""
    available = max_length - len(before) - len(after) - 2
    return "\n".join(filter(None, (before, *_last_frames(trace.frames, available), after)))


def _last_frames(frames: tuple[Frame, ...], max_length: int) -> Iterable[str]:
    """The texts of as many of the innermost frames as fit, with a note about the others."""
    texts = [frame.text() for frame in frames]
    note = f"  ... {len(texts)} more frames"
    length, kept = 0, len(texts)
    while kept and length + len(texts[kept - 1]) + 1 <= max_length - (len(note) + 1 if kept > 1 else 0):
        kept -= 1
        length += len(texts[kept]) + 1
    return (*((f"  ... {kept} more frames",) if kept else ()), *texts[kept:])


def _title(exception: Record) -> str:
    # A value may be an object, for which Sentry has no text.
    return ": ".join(filter(None, (as_text(exception.get("type")), as_text(exception.get("value")))))


def _thread_frames(event: Record, platform: str, thread_id: Any) -> tuple[Frame, ...]:
    """The frames of the thread of the exception, otherwise of the thread that crashed, otherwise of the current one."""

    def rank(thread: Record) -> tuple[bool, bool, bool]:
        is_of_exception = thread_id is not None and thread.get("id") == thread_id
        return is_of_exception, thread.get("crashed") is True, thread.get("current") is True

    threads = as_records(entry_of(event, "threads").get("values"))
    with_frames = [thread for thread in threads if as_records(as_record(thread.get("stacktrace")).get("frames"))]
    return _frames(max(with_frames, key=rank)["stacktrace"], platform) if with_frames else ()


def _frames(stacktrace: Any, platform: str) -> tuple[Frame, ...]:
    return tuple(_frame(frame, platform) for frame in as_records(as_record(stacktrace).get("frames")))


def _frame(frame: Record, platform: str) -> Frame:
    platform = as_text(frame.get("platform")) or platform
    module, function = as_text(frame.get("module")), as_text(frame.get("function"))
    if module and function and platform in _QUALIFIED_PLATFORMS:
        function = f"{module}.{function}"
    line, column = as_line_number(frame.get("lineNo")), as_line_number(frame.get("colNo"))
    package = re.split(r"[/\\]", as_text(frame.get("package")))[-1]
    address = one_line(" ".join(filter(None, (package, as_text(frame.get("instructionAddr"))))), _MAX_NAME)
    return Frame(
        platform,
        # The end of a long path names the file.
        one_line((_file(frame, platform) or module)[-_MAX_NAME:], _MAX_NAME),
        one_line(function, _MAX_NAME),
        line,
        column,
        f"[{address}]" if address else "",
        _source(frame.get("context"), line, column),
        frame.get("inApp") is True,
    )


def _file(frame: Record, platform: str) -> str:
    names = ("absPath", "filename") if platform in _PATH_PLATFORMS else ("filename", "absPath")
    return next(filter(None, (as_text(frame.get(name)) for name in names)), "")


def as_line_number(value: Any) -> int:
    """A positive integer, 0 for anything else."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < _MAX_LINE_NUMBER
    return int(value) if is_number else 0


def _source(context: Any, line: int, column: int) -> str:
    """The text of a line in `[[41, "def open():"], [42, "    raise ..."]]`; of a minified line, that at the column."""
    pairs = (pair for pair in context if isinstance(pair, list) and len(pair) == 2) if isinstance(context, list) else ()
    source = next((as_text(text) for number, text in pairs if line and number == line), "")
    start = max(0, column - _MAX_NAME // 2) if len(source) > _MAX_NAME else 0
    return f"{'...' if start else ''}{one_line(source[start:], _MAX_NAME)}"
