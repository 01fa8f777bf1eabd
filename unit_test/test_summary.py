"""Summaries of issues: as expected for several platforms, and harmless for any text."""

import re
import unittest
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from komand_sentry.util.sentry.markdown import ZERO_WIDTH_SPACE, code, code_block, escape, link
from komand_sentry.util.sentry.normalize import normalize_event, normalize_issue
from komand_sentry.util.sentry.summary import MAX_LENGTH, summarize
from testing.plugin import Json
from unit_test.conftest import many
from unit_test.test_event_details import EVENTS, PLATFORMS, malformed_events, sample

# CommonMark, and GitHub's Markdown with every text linked that looks like a URL, a domain or an e-mail address.
PARSERS = (MarkdownIt("commonmark"), MarkdownIt("gfm-like"))
BLOCKS = {"paragraph_open", "paragraph_close", "bullet_list_open", "bullet_list_close", "list_item_open",
          "list_item_close", "inline", "fence"}  # fmt: skip
INLINES = {"text", "text_special", "strong_open", "strong_close", "link_open", "link_close", "code_inline"}
# What Slack, Teams, Jira and GitHub resolve in plain text.
MENTION = re.compile(rf"[@#](?!{ZERO_WIDTH_SPACE})|(?<!\\)\[~|[<>]")
# What Slack resolves in code, and Jira in a field that is not Markdown.
MENTION_IN_CODE = re.compile(r"<[!@#]|<[a-z]+:|\[~|@(?:here|channel|everyone)\b", re.I)

HOSTILE = (
    "```", "``", "`", "~~~", "\n", "\r", "\r\n", "\u2028", "\x85", "\x0b", "\x00", "\u202e", " ", "    ", "\\", "*",
    "**", "_", "__", "~~", "[", "]", "(", ")", "![x](https://evil.example/x.png)", "[x](javascript:alert(1))",
    "[x]: https://evil.example", "[x][y]", "<!here>", "<!channel>", "<@U1>", "<#C1>", "<https://evil.example|x>",
    "@here", "@channel", "@everyone", "@user", "#general", "#1", "[~admin]", "{code}", "<script>alert(1)</script>",
    "<b>", "<!--", "&lt;", "&amp;", "&#64;user", "https://evil.example/x", "http://a", "//evil.example",
    "www.evil.example", "evil.com", "a@evil.example", "mailto:a@evil.example", "xmpp:a@evil.example", "# x",
    "=====", "-----", "- x", "1. x", "> x", "| a | b |\n|---|---|\n| c | d |", "$x$", "<at>user</at>", "x", "é",
    "漢", "💧", "\ud800",
)  # fmt: skip
hostile_texts = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=3), max_size=12).map("".join) | st.builds(
    str.__mul__, st.sampled_from(HOSTILE), st.integers(1, 3000)
)
# Names that decide how an event is read.
STRUCTURE = {"exception", "threads", "message", "request", "python", "java", "team", "user"}


def normalized(platform: str) -> tuple[Json, Json]:
    issue, event = sample(platform)
    return normalize_issue(issue), normalize_event(event)


def with_text(value: Any, text: str) -> Any:
    """A copy in which the text replaces every other one."""
    if isinstance(value, dict):
        return {key: with_text(item, text) for key, item in value.items()}
    if isinstance(value, list):
        return [with_text(item, text) for item in value]
    return text if isinstance(value, str) and value not in STRUCTURE else value


def spans(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens for child in token.children or []]


class TestPlatforms(unittest.TestCase):
    maxDiff = None

    def test_summary_is_as_expected(self) -> None:
        for platform in PLATFORMS:
            with self.subTest(platform):
                expected = (EVENTS / f"{platform}.md").read_text(encoding="utf-8")
                self.assertEqual(f"{summarize(*normalized(platform))}\n", expected)

    def test_an_issue_without_an_event_and_the_reverse(self) -> None:
        issue, event = normalized("python")
        summary = summarize(issue, {})
        self.assertIn("- Culprit: `pumps.controller in start`", summary)
        self.assertIn("- Events: 42, users: 7\n", summary)
        self.assertNotIn("```", summary)
        summary = summarize({}, event)
        self.assertIn("- Level: error\n- Event: ", summary)
        self.assertNotIn("Assigned to", summary)
        self.assertIn("```\nTraceback", summary)
        self.assertEqual(summarize({}, {}), "**Sentry issue**")

    def test_a_message_is_shown_unless_it_is_the_title(self) -> None:
        event = {"entries": [{"type": "message", "data": {"formatted": "Pump P-2 stopped at 3 bar"}}]}
        self.assertTrue(
            summarize({"title": "Pump stopped"}, event).endswith("Message:\n\n```\nPump P-2 stopped at 3 bar\n```")
        )
        self.assertEqual(summarize({"title": "Pump P-2 stopped at 3 bar"}, event), "**Pump P-2 stopped at 3 bar**")

    def test_what_is_long_is_truncated_between_words_and_frames(self) -> None:
        frames = [{"function": f"f{number}", "inApp": True, "filename": "x" * 300} for number in range(50)]
        values = [{"type": "E", "value": "word " * 500, "stacktrace": {"frames": frames}} for _ in range(9)]
        event = {"platform": "java", "entries": [{"type": "exception", "data": {"values": values}}]}
        issue = {"title": "word " * 500, "assignedTo": {"name": "name " * 100}}
        summary = summarize(issue, event)
        self.assertLessEqual(len(summary), MAX_LENGTH)
        self.assertTrue(summary.startswith("**word word"))
        self.assertIn(" word...**\n", summary)
        self.assertEqual(summary.count("at f49 ("), 3)
        self.assertTrue(summary.endswith(")\n```"))

    def test_only_frames_of_the_application_unless_there_are_none(self) -> None:
        for in_app, expected in (((), "cde"), ((1,), "b"), ((0, 4), "ae")):
            frames = [{"function": name, "inApp": number in in_app} for number, name in enumerate("abcde")]
            event = {"entries": [{"type": "stacktrace", "data": {"frames": frames}}]}
            with self.subTest(expected):
                self.assertEqual("".join(re.findall(r"at (\w)", summarize({}, event))), expected)

    def test_assignee(self) -> None:
        for actor, expected in (
            ({"type": "user", "name": "Ada"}, "Ada"),
            ({"type": "user", "email": "ada@example.com"}, f"ada@{ZERO_WIDTH_SPACE}example.{ZERO_WIDTH_SPACE}com"),
            ({"type": "team", "name": "ops"}, "team ops"),
            (None, "nobody"),
        ):
            with self.subTest(expected):
                self.assertIn(f"- Assigned to: {expected}", summarize({"assignedTo": actor}, {}))


class TestHarmless(unittest.TestCase):
    def check(self, summary: str, permalink: Any) -> None:
        self.assertLessEqual(len(summary), MAX_LENGTH)
        summary.encode()
        head, _, block = summary.partition("\n```\n")
        self.assertIsNone(MENTION.search(re.sub(r"`[^`\n]*`", "", head)), head)
        self.assertIsNone(MENTION_IN_CODE.search(summary), summary)
        if block:
            self.assertTrue(block.endswith("\n```"))
            self.assertNotIn("```", block[:-3])
        for parser in PARSERS:
            tokens = parser.parse(summary)
            self.assertLessEqual({token.type for token in tokens}, BLOCKS)
            self.assertEqual([token.type for token in tokens].count("fence"), 1 if block else 0)
            self.assertLessEqual({span.type for span in spans(tokens)}, INLINES)
            links = [span.attrs["href"] for span in spans(tokens) if span.type == "link_open"]
            self.assertEqual(links, [permalink] if f"]({permalink})" in summary else [])
            self.assertEqual([span.type for span in spans(tokens)].count("strong_open"), 1)

    @many
    @given(st.sampled_from(PLATFORMS), hostile_texts, st.booleans())
    @example("python", "&" * 5000, True)
    @example("python", "<@here" * 1000, True)
    @example("java", "```" * 1000, True)
    @example("cron", "x\n# Heading\n---\n> quote", True)
    def test_any_text_in_every_field(self, platform: str, text: str, keeps_permalink: bool) -> None:
        issue, event = normalized(platform)
        permalink = issue["permalink"]
        issue, event = with_text(issue, text), with_text(event, text)
        if keeps_permalink:
            issue["permalink"] = permalink
        summary = summarize(issue, event)
        self.check(summary, issue["permalink"])
        if keeps_permalink:
            self.assertIn(f"]({permalink})", summary)

    @many
    @given(malformed_events())
    def test_any_event(self, event: Any) -> None:
        issue, _ = normalized("python")
        self.check(summarize(issue, normalize_event(event)), issue["permalink"])

    @many
    @given(st.text() | hostile_texts)
    def test_escaped_text_is_read_as_it_was(self, text: str) -> None:
        plain = " ".join("".join(" " if c.isspace() else c for c in text if c.isprintable() or c.isspace()).split())
        escaped = escape(text[:200], 200)
        self.assertLessEqual(len(escaped), 400)
        for parser in PARSERS:
            shown = "".join(span.content for span in spans(parser.parse(f"Title: {escaped}")))
            if len(text) <= 200 and "..." not in shown:
                self.assertEqual(shown.replace(ZERO_WIDTH_SPACE, ""), f"Title: {plain}".rstrip().replace("`", "'"))

    def test_escaping(self) -> None:
        z = ZERO_WIDTH_SPACE
        for text, escaped in (
            ("Valve V-7 did not open (5 s)!", "Valve V-7 did not open (5 s)!"),
            ("pump_station.start_1 _x_", f"pump_station.{z}start_1 \\_x\\_"),
            ("<!here> @ada #general", f"&lt;!here&gt; @{z}ada #{z}general"),
            ("[x](https://evil.example)", f"\\[x\\](https:{z}/{z}/evil.{z}example)"),
            ("www.evil.example", f"www{z}.{z}evil.{z}example"),
            ("a\r\n\tb\u202ec", "a bc"),
            ("`x` \\ *y*", "'x' \\\\ \\*y\\*"),
        ):
            with self.subTest(text):
                self.assertEqual(escape(text, 100), escaped)

    def test_code(self) -> None:
        self.assertEqual(code("pumps@2.4.1", 20), "`pumps@2.4.1`")
        self.assertEqual(code("a`b\nc", 20), "`a'b c`")
        self.assertEqual(code(" \n", 20), "")
        for mention in ("<!here>", "<@U1>", "<#C1>", "<https://evil.example|x>", "[~admin]", "@here"):
            self.assertEqual(code(mention, 50), f"`{mention[0]}{ZERO_WIDTH_SPACE}{mention[1:]}`")
        self.assertEqual(code_block("a\n```\nb", 100), f"```\na\n``{ZERO_WIDTH_SPACE}`\nb\n```")
        self.assertEqual(code_block("first\nsecond", 14), "```\nsecond\n```")
        self.assertEqual(code_block("first\nsecond", 8), "")

    def test_only_a_plain_url_becomes_a_link(self) -> None:
        for url in (
            "https://acme.sentry.io/issues/1/",
            "http://sentry.example.com:9000/sentry/organizations/acme/issues/1/",
            "https://acme.sentry.io/feedback/?feedbackSlug=pump-station%3A123",
        ):
            with self.subTest(url):
                self.assertEqual(link("A-1", url, 20), f"[A-1]({url})")
        for url in (
            "", "javascript:alert(1)", "https://a/ b", "https://a/)", "https://a/>", "https://a/\n", "https://u:p@a/",
            "https://a/?b=1&copy", "//a/b", "data:text/html,x", f"https://a/{'x' * 300}",
        ):  # fmt: skip
            with self.subTest(url):
                self.assertEqual(link("A-1", url, 20), "A-1")
