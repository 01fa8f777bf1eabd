"""What README.md shows of the plugin at work, from real runs: `python -m tools.docs`, with `--check` to compare.

The messages of tests/ are run against a sandbox, and what went in and came out is written between the marks of
README.md; the demo is run and drawn as artwork/demo.svg. What differs from run to run is written alike each time.
"""

import contextlib
import html
import io
import json
import re
import sys
from pathlib import Path

from sandbox import Sandbox
from testing.plugin import ROOT, Json, run_plugin, sample_messages
from tools.demo import Demo

README = ROOT / "README.md"
PICTURE = ROOT / "artwork" / "demo.svg"

EVENT_ID, KEY, MOMENT = "9d6b1fb4c9f44c0f8ad9b1f7a0f6a6b1", "3f6b2c1d9e8a4f70b5c4d3e2f1a09b8c", "2026-08-01T12:00:00Z"
# Of the many attributes of a record those that tell what it is; README.md says that there are more.
SHOWN = {
    "issues": ("id", "shortId", "title", "level", "status", "count", "userCount", "firstSeen", "lastSeen", "permalink"),
    "issue": ("id", "shortId", "title", "level", "status", "hasSeen", "assignedTo", "permalink"),
    "events": ("eventID", "groupID", "title", "dateCreated", "tags", "entries", "errors"),
}

CHARACTER_WIDTH, LINE_HEIGHT, MARGIN = 7.8, 18, 20


def alike(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, constant in (
        (r"http://(?:[0-9a-f]{32}@)?127\.0\.0\.1:\d+/(\d+)(?=\")", rf"https://{KEY}@sentry.example.com/\1"),
        (r"http://127\.0\.0\.1:\d+", "https://sentry.example.com"),
        (r"http://[0-9a-f]{32}@127\.0\.0\.1:\d+", f"https://{KEY}@sentry.example.com"),
        (r"sntryu_[0-9a-f]{64}", "YOUR TOKEN"),
        (r"\b[0-9a-f]{32}\b(?!@)", EVENT_ID),
        (r"(?!2018)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|\+00:00)?", MOMENT),
        (r"\b\d{13}:\d+:\d\b", "1785585600000:0:0"),
    ):
        text = re.sub(pattern, constant, text)
    return text


def shown(output: Json) -> Json:
    """The output with the telling attributes of each record only."""
    cut: Json = {}
    for name, value in output.items():
        keys = SHOWN.get(name)
        if keys is None:
            cut[name] = value
        elif isinstance(value, list):
            cut[name] = [{key: record[key] for key in keys if key in record} for record in value]
        else:
            cut[name] = {key: value[key] for key in keys if key in value}
    return cut


def examples() -> dict[str, str]:
    """Of each action the input of its message in tests/, and what a run of it put out, as the blocks of README.md."""
    blocks = {}
    with Sandbox() as sandbox:
        for name, message in sample_messages(sandbox.env).items():
            command = "test" if name == "connection_test" else "run"
            body = run_plugin(command, message)
            if body["status"] != "ok":
                raise AssertionError(body)
            given = {key: value for key, value in message["body"].get("input", {}).items() if value not in ("", False)}
            parts = [("in", given)] if given else []
            parts.append(("out", shown(body["output"])))
            lines = [f"{label:5}{json.dumps(value, ensure_ascii=False)}" for label, value in parts]
            blocks[name] = alike("\n".join(lines))
    return blocks


def with_blocks(readme: str, blocks: dict[str, str]) -> str:
    for name, block in blocks.items():
        begin, end = f"<!-- a real run of {name} -->\n", "<!-- -->"
        before, mark, rest = readme.partition(begin)
        if not mark:
            raise AssertionError(f"README.md has no place for {name}")
        readme = f"{before}{begin}```\n{wrapped(block)}\n```\n{end}{rest.partition(end)[2]}"
    return readme


def wrapped(block: str, width: int = 118) -> str:
    """Long lines cut after a comma or a bracket, and set under the beginning of the first."""
    lines = []
    for line in block.splitlines():
        rest = line
        while len(rest) > width:
            cut = max(rest.rfind(mark, 6, width) + 2 for mark in (", ", ": "))
            lines.append(rest[:cut].rstrip())
            rest = " " * 6 + rest[cut:]
        lines.append(rest)
    return "\n".join(lines)


def demo_lines() -> list[str]:
    """What `make demo` prints."""
    printed = io.StringIO()
    with Sandbox() as sandbox, contextlib.redirect_stdout(printed):
        demo = Demo(sandbox)
        demo.run()
        print(f"\nAll {demo.steps} steps did what they should.")
    lines = alike("$ make demo\n" + printed.getvalue().strip()).splitlines()
    return [line for line in lines if not re.fullmatch(r"\s+\d+\.\d s", line)]


def picture(lines: list[str]) -> str:
    """The lines as a terminal shows them, drawn."""
    width = MARGIN * 2 + max(map(len, lines)) * CHARACTER_WIDTH
    height = MARGIN * 2 + len(lines) * LINE_HEIGHT
    rows = []
    for number, line in enumerate(lines):
        y = MARGIN + (number + 0.8) * LINE_HEIGHT
        color = "#f4b740" if re.match(r"\d+\. |\$", line) else "#8fd694" if line.startswith("   out") else "#d8d4ea"
        rows.append(f'<text x="{MARGIN}" y="{y:.0f}" fill="{color}">{html.escape(line)}</text>')
    body = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-size="13"\n'
        f'     font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" xml:space="preserve">\n'
        f'<rect width="100%" height="100%" rx="8" fill="#241b4b"/>\n{body}\n</svg>\n'
    )


def main() -> int:
    written = {
        README: with_blocks(README.read_text(encoding="utf-8"), examples()),
        PICTURE: picture(demo_lines()),
    }
    if "--check" in sys.argv:
        stale = [path.name for path, text in written.items() if not is_current(path, text)]
        if stale:
            print(f"not what a run gives now, so run make docs: {', '.join(stale)}", file=sys.stderr)
        return 1 if stale else 0
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return 0


def is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
