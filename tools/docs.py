"""Updates the generated parts of README.md and artwork/demo.svg: `python -m tools.docs`, with `--check` only compares.

README.md lists all actions with the scopes that they need, and shows some messages of tests/ with the responses of real
runs against a sandbox. demo.svg shows the triage of `make demo`. Constants replace the values that differ between runs.
"""

import contextlib
import html
import io
import json
import re
import sys
from collections.abc import Sequence
from hashlib import md5
from pathlib import Path

import yaml

from komand_sentry.util.sentry.scopes import ACTION_SCOPES, WAIT_SCOPES
from sandbox import Sandbox
from testing.plugin import ROOT, Json, run_plugin, sample_messages
from tools.demo import TRIAGE, Demo

README = ROOT / "README.md"
PICTURE = ROOT / "artwork" / "demo.svg"
SPEC = ROOT / "plugin.spec.yaml"

KEY, TIME = "3f6b2c1d9e8a4f70b5c4d3e2f1a09b8c", "2026-08-01T12:00:00Z"
# The messages of tests/ that README.md shows.
EXAMPLES = (
    "submit_event",
    "list_project_issues",
    "list_issue_events",
    "search_issues",
    "get_event",
    "update_issues",
    "update_issue",
)
# The attributes of a record that README.md shows. It says that records have more.
SHOWN_ATTRIBUTES = {
    "issues": ("id", "shortId", "title", "level", "status", "count", "lastSeen", "permalink"),
    "issue": ("id", "shortId", "title", "status", "hasSeen", "permalink"),
    "events": ("eventID", "groupID", "title", "dateCreated", "tags", "entries", "errors"),
    "event": ("eventID",),
    "details": ("message", "release", "environment", "level", "tags"),
}

CHARACTER_WIDTH, LINE_HEIGHT, MARGIN = 7.8, 18, 20


def normalized(text: str) -> str:
    """The text with constants instead of the values that differ between runs."""
    for pattern, constant in (
        (r"http://[0-9a-f]{32}@127\.0\.0\.1:\d+", f"https://{KEY}@sentry.example.com"),
        (r"http://127\.0\.0\.1:\d+", "https://sentry.example.com"),
        (r"(?!2018)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|\+00:00)?", TIME),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "2026-08-01 12:00:00 UTC"),
        (r"\b\d{13}:\d+:\d\b", "1785585600000:0:0"),
    ):
        text = re.sub(pattern, constant, text)
    return with_constant_ids(text)


def with_constant_ids(text: str) -> str:
    """The text with a constant instead of each event ID, a distinct one for each."""
    ids = [event_id for event_id in re.findall(r"\b[0-9a-f]{32}\b", text) if event_id != KEY]
    for number, event_id in enumerate(dict.fromkeys(ids), start=1):
        constant = md5(f"event {number}".encode(), usedforsecurity=False).hexdigest()
        text = text.replace(event_id, constant)
    return text


def shortened(output: Json) -> Json:
    """The output with only the shown attributes of each record."""
    short: Json = {}
    for name, value in output.items():
        keys = SHOWN_ATTRIBUTES.get(name)
        if keys is None:
            short[name] = value
        elif isinstance(value, list):
            short[name] = [{key: record[key] for key in keys if key in record} for record in value]
        else:
            short[name] = {key: value[key] for key in keys if key in value}
    return short


def examples() -> dict[str, str]:
    """The inputs and the outputs of EXAMPLES, keyed by the names of their blocks in README.md."""
    texts = {}
    with Sandbox() as sandbox:
        messages = sample_messages(sandbox.env)
        for name in EXAMPLES:
            body = run_plugin("run", messages[name])
            if body["status"] != "ok":
                raise AssertionError(body)
            texts[name] = example(messages[name]["body"]["input"], shortened(body["output"]))
    separator = "\n\f\n"
    # All texts at once, so that an event has the same ID in each.
    constant = normalized(separator.join(texts.values())).split(separator)
    return {f"example {name}": f"```\n{wrapped(text)}\n```" for name, text in zip(texts, constant, strict=True)}


def example(params: Json, output: Json) -> str:
    """The inputs and the output as JSON, with the summary as the text that a ticket shows."""
    lines = [f"in   {json.dumps(params)}"]
    summary = output.pop("summary", "")
    lines.append(f"out  {json.dumps(output)}")
    if summary:
        first, *others = filter(None, summary.splitlines())
        lines += [f"     summary: {first}", *(f"      {line}" for line in others)]
    return "\n".join(lines)


def wrapped(text: str, width: int = 118) -> str:
    """The text with long lines broken after a comma or a colon, and continued below their start."""
    lines = []
    for line in text.splitlines():
        rest = line
        while len(rest) > width:
            cut = max(rest.rfind(mark, 6, width) + 2 for mark in (", ", ": "))
            lines.append(rest[:cut].rstrip())
            rest = " " * 6 + rest[cut:]
        lines.append(rest)
    return "\n".join(lines)


def actions_table() -> str:
    """A table of all actions: what they do, and which scopes their tokens need."""
    actions: Json = yaml.safe_load(SPEC.read_text("utf-8"))["actions"]
    rows = ["| Action | Purpose | Scope of the token, any one of |", "|---|---|---|"]
    for name, scopes in ACTION_SCOPES.items():
        scope = any_of(scopes) or f"None: the DSN authorizes it. {_wait_scopes()}"
        rows.append(f"| {actions[name]['title']} | {purpose(actions[name]['description'])} | {scope} |")
    return "\n".join(rows)


def purpose(description: str) -> str:
    """What an action does, from its description in the spec."""
    text = description.removeprefix("This action is used to ")
    return f"{text[:1].upper()}{text[1:]}"


def any_of(scopes: Sequence[str]) -> str:
    return ", ".join(f"`{scope}`" for scope in scopes)


def _wait_scopes() -> str:
    return f"With `wait_for_issue`, {' and '.join(f'`{scopes[0]}`' for scopes in WAIT_SCOPES)}"


def with_blocks(readme: str, blocks: dict[str, str]) -> str:
    """README.md with these generated blocks.

    :raises AssertionError: a block has no place, or a place has no block or no end
    """
    names = re.findall(r"<!-- generated: (.*?) -->", readme)
    if sorted(names) != sorted(blocks) or readme.count("<!-- end -->") != len(names):
        raise AssertionError(f"README.md needs one place with an end for each block: {', '.join(blocks)}")

    def block(match: re.Match[str]) -> str:
        return f"<!-- generated: {match[1]} -->\n{blocks[match[1]]}\n<!-- end -->"

    return re.sub(r"<!-- generated: (.*?) -->.*?<!-- end -->", block, readme, flags=re.DOTALL)


def demo_lines() -> list[str]:
    """The end of the output of `make demo`, from the triage on, without the durations."""
    output = io.StringIO()
    with Sandbox() as sandbox, contextlib.redirect_stdout(output):
        demo = Demo(sandbox)
        demo.run()
        print(f"\nAll {demo.steps} steps passed.")
    # All lines at once, so that an event has the same ID in each.
    lines = normalized(output.getvalue().strip()).splitlines()
    start = next(number for number, line in enumerate(lines) if TRIAGE in line)
    shown = [line for line in lines[start:] if not re.fullmatch(r"\s+\d+\.\d s", line)]
    return ["$ make demo", "...", *shown]


def picture(lines: list[str]) -> str:
    """An SVG that shows the lines as a terminal does."""
    width = MARGIN * 2 + max(map(len, lines)) * CHARACTER_WIDTH
    height = MARGIN * 2 + len(lines) * LINE_HEIGHT
    rows, color = [], ""
    for number, line in enumerate(lines):
        y = MARGIN + (number + 0.8) * LINE_HEIGHT
        if not line.startswith(" " * 8):  # a continued line keeps the color of its first
            color = color_of(line)
        rows.append(f'<text x="{MARGIN}" y="{y:.0f}" fill="{color}">{html.escape(line, quote=False)}</text>')
    body = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-size="13"\n'
        f'     font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" xml:space="preserve">\n'
        f'<rect width="100%" height="100%" rx="8" fill="#241b4b"/>\n{body}\n</svg>\n'
    )


def color_of(line: str) -> str:
    if re.match(r"\d+\. |\$", line):
        return "#f4b740"
    return "#8fd694" if line.startswith("   out") else "#d8d4ea"


def main() -> int:
    blocks = {**examples(), "actions": actions_table()}
    current = {
        README: with_blocks(README.read_text(encoding="utf-8"), blocks),
        PICTURE: picture(demo_lines()),
    }
    if "--check" in sys.argv:
        stale = [path.name for path, text in current.items() if not is_current(path, text)]
        if stale:
            print(f"run make docs, because these files are not current: {', '.join(stale)}", file=sys.stderr)
        return 1 if stale else 0
    for path, text in current.items():
        path.write_text(text, encoding="utf-8")
    return 0


def is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
