"""The workflows of docs/recipes.md, run against sandboxes.

The inputs of a step refer to the outputs of earlier steps in the notation of InsightConnect, `{{["Step"].[output]}}`.
They are resolved as InsightConnect does, so a reference to an output that does not exist is an error.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sandbox import Sandbox
from testing.plugin import TRIGGERS, Json, action_message, run_plugin
from tools.demo import LEAK, output_of
from tools.examples import KEY, blocks_of, output_text
from tools.trigger import run_trigger

REFERENCE = re.compile(r'\{\{(?:#each )?\["([^"]+)"\]((?:\.\[\w+\])+)\}\}')


class Step(NamedTuple):
    """A step of this plugin.

    :param name: of the step in the workflow
    :param component: the action or the trigger that it runs
    """

    name: str
    component: str
    params: Json


class OtherStep(NamedTuple):
    """A step of another plugin, which is not run.

    :param output: that the workflow uses
    """

    name: str
    output: Json


@dataclass(frozen=True)
class Recipe:
    """A workflow.

    :param title: the heading of its section in docs/recipes.md
    :param events: that exist before the workflow starts
    """

    title: str
    steps: Sequence[Step | OtherStep]
    events: Sequence[Json] = field(default=())

    def run(self) -> tuple[Json, dict[str, str]]:
        """Run the steps.

        :returns: the outputs, and the text of each step of this plugin, both by the names of the steps
        """
        outputs: Json = {}
        texts = {}
        with Sandbox() as sandbox:
            for event in self.events:
                run_step(sandbox, "submit_event", {"event_json": event})
            for step in self.steps:
                if isinstance(step, OtherStep):
                    outputs[step.name] = step.output
                    continue
                outputs[step.name] = run_step(sandbox, step.component, resolved(step.params, outputs))
                texts[step.name] = f"{input_lines(step.params)}\n{output_text(outputs[step.name])}"
        return outputs, texts


RECIPES = (
    Recipe(
        "Open a ticket for each new issue",
        (
            Step(
                "New Issue",
                "new_issue",
                {
                    "organization_slug": "acme",
                    "projects": ["pump-station"],
                    "query": "level:[error, fatal]",
                    "interval": 60,
                    "lookback": 3600,
                },
            ),
            OtherStep("Create Ticket", {"issue": {"key": "OPS-42", "url": "https://jira.example.com/browse/OPS-42"}}),
            Step(
                "Comment",
                "add_comment",
                {
                    "issue_id": '{{["New Issue"].[issue].[permalink]}}',
                    "text": 'Ticket [{{["Create Ticket"].[issue].[key]}}]({{["Create Ticket"].[issue].[url]}})',
                },
            ),
        ),
        events=(LEAK,),
    ),
    Recipe(
        "Assign fatal issues every night",
        (
            Step(
                "Find Issues",
                "search_issues",
                {"organization_slug": "acme", "query": "is:unresolved is:unassigned level:fatal", "limit": 50},
            ),
            Step(
                "Preview",
                "update_issues",
                {
                    "organization_slug": "acme",
                    "query": "is:unresolved is:unassigned level:fatal",
                    "assignedTo": "#ops",
                    "max_changes": 50,
                    "dry_run": True,
                },
            ),
            Step(
                "Assign",
                "update_issues",
                {
                    "organization_slug": "acme",
                    "query": "is:unresolved is:unassigned level:fatal",
                    "assignedTo": "#ops",
                    "max_changes": 50,
                    "dry_run": False,
                },
            ),
        ),
        events=(
            {"message": "Pump P-1 is on fire", "level": "fatal"},
            {"message": "Pump P-2 stopped", "level": "warning"},
        ),
    ),
    Recipe(
        "Report an alert to Sentry",
        (
            OtherStep("Alert", {"id": "A-17", "title": "Login from an unknown country", "rule": "unknown-country"}),
            Step(
                "Submit Event",
                "submit_event",
                {
                    "dsn": f"https://{KEY}@sentry.example.com/1",
                    "event_json": {
                        "message": '{{["Alert"].[title]}}',
                        "level": "error",
                        "fingerprint": ['{{["Alert"].[rule]}}'],
                        "tags": {"alert": '{{["Alert"].[id]}}'},
                    },
                    "wait_for_issue": True,
                    "organization_slug": "acme",
                },
            ),
        ),
    ),
)


def run_step(sandbox: Sandbox, component: str, params: Json) -> Json:
    """Run a step of this plugin; return its output. An event goes to the project of the sandbox's DSN."""
    if component in TRIGGERS:
        sent: Json = run_trigger(sandbox, component, params).message["body"]["output"]
        return sent
    env = sandbox.env
    dsn = {"dsn": env["DSN_PUBLIC"]} if component == "submit_event" else {}
    connection = {"token": {"token": env["TOKEN"]}, "url": env["BASE"]}
    return output_of(run_plugin("run", action_message(component, {**params, **dsn}, connection)))


def resolved(value: Any, outputs: Mapping[str, Json]) -> Any:
    """The value with the outputs instead of the references to them.

    :param outputs: by the names of the steps
    :raises KeyError: there is no such output
    """
    if isinstance(value, dict):
        return {key: resolved(item, outputs) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, outputs) for item in value]
    if not isinstance(value, str):
        return value
    return REFERENCE.sub(lambda match: str(referenced(match, outputs)), value)


def referenced(match: re.Match[str], outputs: Mapping[str, Json]) -> Any:
    """The output to which a match of REFERENCE refers."""
    value: Any = outputs[match[1]]
    for key in re.findall(r"\w+", match[2]):
        value = value[key]
    return value


def input_lines(params: Json) -> str:
    """The inputs as a user enters them, one per line."""
    lines = []
    for name, value in params.items():
        text = value if isinstance(value, str) else json.dumps(value)
        # JSON escapes the quotes of a reference.
        lines.append(f"in   {name}: {re.sub(r'{{.*?}}', lambda match: match[0].replace(chr(92), ''), text)}")
    return "\n".join(lines)


def recipe_blocks(document: str) -> dict[str, str]:
    """The inputs and outputs of all steps, by the names of their blocks in docs/recipes.md.

    :param document: docs/recipes.md
    :raises AssertionError: it has no section for a recipe
    :raises KeyError: it refers to an output that does not exist
    """
    texts = {}
    sections = dict(section.partition("\n")[::2] for section in document.split("\n## "))
    for recipe in RECIPES:
        outputs, recipe_texts = recipe.run()
        resolved(sections[recipe.title], outputs)
        texts.update(recipe_texts)
    return blocks_of(texts)
