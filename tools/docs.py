"""Updates the generated parts of the documentation: `python -m tools.docs`, with `--check` only compares.

README.md lists all triggers and actions with the scopes that they need, and shows some messages of tests/ with the
responses of real runs against a sandbox. docs/recipes.md shows the steps of real runs of its workflows.
artwork/demo.svg shows the triage of `make demo`. Constants replace the values that differ between runs.
"""

import contextlib
import html
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from komand_sentry.util.sentry.scopes import ACTION_SCOPES, WAIT_SCOPES
from sandbox import Sandbox
from testing.plugin import ROOT, TRIGGERS, Json, run_plugin, sample_messages
from tools.demo import TRIAGE, Demo, output_of
from tools.examples import blocks_of, input_text, normalized, output_text
from tools.recipes import recipe_blocks
from tools.trigger import run_trigger, trigger_samples

README = ROOT / "README.md"
RECIPES = ROOT / "docs" / "recipes.md"
PICTURE = ROOT / "artwork" / "demo.svg"
SPEC = ROOT / "plugin.spec.yaml"

# The messages of tests/ that README.md shows, in the order in which they run.
EXAMPLES = (
    "submit_event",
    "new_issue",
    "list_project_issues",
    "list_issue_events",
    "get_event",
    "update_issue",
)
# README.md shows a whole summary in demo.svg.
SUMMARY_LINES = 1
# Triggers read what this action reads.
TRIGGER_SCOPES = ACTION_SCOPES["search_issues"]

CHARACTER_WIDTH, LINE_HEIGHT, MARGIN = 7.8, 18, 20


def examples() -> dict[str, str]:
    """The inputs and the outputs of EXAMPLES, keyed by the names of their blocks in README.md."""
    texts = {}
    with Sandbox() as sandbox:
        messages = {**sample_messages(sandbox.env), **trigger_samples(sandbox.env)}
        for name in EXAMPLES:
            params = messages[name]["body"]["input"]
            if name in TRIGGERS:
                output = run_trigger(sandbox, name, params).message["body"]["output"]
            else:
                output = output_of(run_plugin("run", messages[name]))
            texts[f"example {name}"] = f"{input_text(params)}\n{output_text(output, SUMMARY_LINES)}"
    return blocks_of(texts)


def triggers_table() -> str:
    """A table of all triggers: what they do, and which scopes their tokens need."""
    triggers: Json = yaml.safe_load(SPEC.read_text("utf-8"))["triggers"]
    rows = ["| Trigger | Purpose | Scope of the token, any one of |", "|---|---|---|"]
    for trigger in triggers.values():
        rows.append(f"| {trigger['title']} | {purpose(trigger['description'])} | {any_of(TRIGGER_SCOPES)} |")
    return "\n".join(rows)


def actions_table() -> str:
    """A table of all actions: what they do, and which scopes their tokens need."""
    actions: Json = yaml.safe_load(SPEC.read_text("utf-8"))["actions"]
    rows = ["| Action | Purpose | Scope of the token, any one of |", "|---|---|---|"]
    for name, scopes in ACTION_SCOPES.items():
        scope = any_of(scopes) or f"None: the DSN authorizes it. {_wait_scopes()}"
        rows.append(f"| {actions[name]['title']} | {purpose(actions[name]['description'])} | {scope} |")
    return "\n".join(rows)


def purpose(description: str) -> str:
    """What an action or a trigger does, from its description in the spec."""
    text = re.sub("^This (action|trigger) is used to ", "", description)
    return f"{text[:1].upper()}{text[1:]}"


def any_of(scopes: Sequence[str]) -> str:
    return ", ".join(f"`{scope}`" for scope in scopes)


def _wait_scopes() -> str:
    return f"With `wait_for_issue`, {' and '.join(f'`{scopes[0]}`' for scopes in WAIT_SCOPES)}"


def with_blocks(document: str, blocks: dict[str, str]) -> str:
    """The document with these generated blocks.

    :raises AssertionError: a block has no place, or a place has no block or no end
    """
    names = re.findall(r"<!-- generated: (.*?) -->", document)
    if sorted(names) != sorted(blocks) or document.count("<!-- end -->") != len(names):
        raise AssertionError(f"one place with an end is needed for each block: {', '.join(blocks)}")

    def block(match: re.Match[str]) -> str:
        return f"<!-- generated: {match[1]} -->\n{blocks[match[1]]}\n<!-- end -->"

    return re.sub(r"<!-- generated: (.*?) -->.*?<!-- end -->", block, document, flags=re.DOTALL)


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
    readme, recipes = README.read_text("utf-8"), RECIPES.read_text("utf-8")
    current = {
        README: with_blocks(readme, {**examples(), "triggers": triggers_table(), "actions": actions_table()}),
        RECIPES: with_blocks(recipes, recipe_blocks(recipes)),
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
