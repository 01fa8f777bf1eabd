"""The references between the steps of docs/recipes.md are resolved as InsightConnect does."""

import unittest

from tools.recipes import input_lines, resolved

OUTPUTS = {"New Issue": {"issue": {"permalink": "https://sentry.example.com/1/"}, "count": 2}}
PERMALINK = '{{["New Issue"].[issue].[permalink]}}'


class TestReferences(unittest.TestCase):
    def test_outputs_replace_references_at_any_depth(self) -> None:
        params = {"a": PERMALINK, "b": [{"c": f"See {PERMALINK}: " + '{{["New Issue"].[count]}}'}], "d": 5}
        url = "https://sentry.example.com/1/"
        self.assertEqual(resolved(params, OUTPUTS), {"a": url, "b": [{"c": f"See {url}: 2"}], "d": 5})

    def test_unknown_steps_and_outputs_are_errors(self) -> None:
        for text in ('{{["Other"].[issue]}}', '{{["New Issue"].[title]}}', '{{#each ["New Issue"].[issues]}}'):
            with self.subTest(text), self.assertRaises(KeyError):
                resolved(text, OUTPUTS)

    def test_inputs_are_shown_as_users_enter_them(self) -> None:
        self.assertEqual(
            input_lines({"text": PERMALINK, "event_json": {"tags": {"url": PERMALINK}}, "limit": 5}),
            f'in   text: {PERMALINK}\nin   event_json: {{"tags": {{"url": "{PERMALINK}"}}}}\nin   limit: 5',
        )
