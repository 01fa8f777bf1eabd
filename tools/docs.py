"""Updates the generated parts of README.md and artwork/demo.svg: `python -m tools.docs`, with `--check` only compares.

README.md shows the messages of tests/ with the responses of real runs against a sandbox, and the scopes that each
action needs. demo.svg shows the output of `make demo`. Constants replace the values that differ between runs.
"""

import contextlib
import html
import io
import json
import re
import sys
from hashlib import md5
from pathlib import Path

import yaml

from komand_sentry.util.sentry.scopes import ACTION_SCOPES, WAIT_SCOPES
from sandbox import Sandbox
from testing.plugin import ROOT, Json, run_plugin, sample_messages
from tools.demo import Demo

README = ROOT / "README.md"
PICTURE = ROOT / "artwork" / "demo.svg"
SPEC = ROOT / "plugin.spec.yaml"

KEY, TIME = "3f6b2c1d9e8a4f70b5c4d3e2f1a09b8c", "2026-08-01T12:00:00Z"
# The attributes of a record that README.md shows. It says that records have more.
SHOWN_ATTRIBUTES = {
    "issues": ("id", "shortId", "title", "level", "status", "count", "lastSeen", "permalink"),
    "issue": ("id", "shortId", "title", "status", "hasSeen", "permalink"),
    "events": ("eventID", "groupID", "title", "dateCreated", "tags", "entries", "errors"),
}

CHARACTER_WIDTH, LINE_HEIGHT, MARGIN = 7.8, 18, 20


def normalized(text: str) -> str:
    """The text with constants instead of the values that differ between runs."""
    for pattern, constant in (
        (r"http://[0-9a-f]{32}@127\.0\.0\.1:\d+", f"https://{KEY}@sentry.example.com"),
        (r"http://127\.0\.0\.1:\d+", "https://sentry.example.com"),
        (r"(?!2018)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|\+00:00)?", TIME),
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
    """The input and the output of the message of each action, keyed by the name of its block in README.md."""
    texts = {}
    with Sandbox() as sandbox:
        messages = sample_messages(sandbox.env)
        del messages["connection_test"]
        for name, message in messages.items():
            body = run_plugin("run", message)
            if body["status"] != "ok":
                raise AssertionError(body)
            params, output = json.dumps(message["body"]["input"]), json.dumps(shortened(body["output"]))
            texts[name] = f"in   {params}\nout  {output}"
    separator = "\n\f\n"
    # All texts at once, so that an event has the same ID in each.
    constant = normalized(separator.join(texts.values())).split(separator)
    return {f"example {name}": f"```\n{wrapped(text)}\n```" for name, text in zip(texts, constant, strict=True)}


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


def _by_dsn() -> str:
    any_of = ", and ".join(" or ".join(f"`{scope}`" for scope in scopes) for scopes in WAIT_SCOPES)
    return f"The DSN. With `wait_for_issue`, also the token, with {any_of}"


def scopes_table() -> str:
    """A table of the actions with the scopes that their tokens need."""
    titles = {name: action["title"] for name, action in yaml.safe_load(SPEC.read_text("utf-8"))["actions"].items()}
    rows = ["| Action | Authorized by |", "|---|---|", "| Connection test | The token, with any scope or none |"]
    for name, scopes in ACTION_SCOPES.items():
        any_of = " or ".join(f"`{scope}`" for scope in scopes)
        rows.append(f"| {titles[name]} | {f'The token, with {any_of}' if scopes else _by_dsn()} |")
    return "\n".join(rows)


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
    """The output of `make demo` without the durations."""
    output = io.StringIO()
    with Sandbox() as sandbox, contextlib.redirect_stdout(output):
        demo = Demo(sandbox)
        demo.run()
        print(f"\nAll {demo.steps} steps passed.")
    lines = normalized("$ make demo\n\n" + output.getvalue().strip()).splitlines()
    return [line for line in lines if not re.fullmatch(r"\s+\d+\.\d s", line)]


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
    blocks = {**examples(), "scopes": scopes_table()}
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
