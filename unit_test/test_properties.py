"""What holds for every input, tried on many that nobody would think of."""

import copy
import json
import math
import re
import unittest
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from komand_sentry.actions.list_issue_events.schema import ListIssueEventsOutput
from komand_sentry.actions.list_project_issues.schema import ListProjectIssuesOutput
from komand_sentry.actions.submit_event.schema import SubmitEventInput
from komand_sentry.actions.update_issue.schema import UpdateIssueOutput
from komand_sentry.util import errors
from komand_sentry.util.address import IssueReference, Server, UnusableAddress, redirect_url
from komand_sentry.util.dsn import DSN, MalformedDSN, parse_dsn
from komand_sentry.util.event_payload import canonical_event, event_json, has_content
from komand_sentry.util.exchange import Effort, Request, Response, Unreachable
from komand_sentry.util.pagination import BrokenListing, Position, next_cursor
from komand_sentry.util.preflight import Preflight, project_names, scopes_of, user_of, version_in
from komand_sentry.util.records import event_record, issue_record
from komand_sentry.util.retry import LONGEST_BACKOFF_SECONDS, hinted_seconds, wait_before_retry
from komand_sentry.util.shape import conform
from komand_sentry.util.token import token_kind
from unit_test.conftest import many, some

NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
SECRET = "sntryu_" + "0123456789abcdef" * 4

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


ODD = (
    *(
        "",
        " ",
        "\n",
        "\t",
        "/",
        "//",
        "\\",
        ":",
        "@",
        "?",
        "#",
        "%",
        "%2e",
        "%2F",
        ".",
        "..",
        ";",
        ",",
        "&",
        "=",
        '"',
        "<",
        ">",
    ),
    *(
        "[",
        "]",
        "[::1]",
        "{",
        "}",
        "_",
        "-",
        "0",
        "9" * 9,
        "9" * 20,
        "1.5",
        "-1",
        "x" * 300,
        "\u00e9",
        "\ud800",
        "\u0662",
        "\x00",
    ),
)


@st.composite
def near(draw: st.DrawFn, *parts: str) -> str:
    """These parts one after the other, now and then with something else in the place of one."""
    chances = [draw(st.sampled_from(range(6 * len(ODD)))) for _ in parts]
    return "".join(ODD[chance] if chance < len(ODD) else part for chance, part in zip(chances, parts, strict=True))


NAMES = st.text("abcXYZ019_~-", min_size=1, max_size=8)
KEYS = st.text("abcXYZ019_-", min_size=1, max_size=32)
HOSTS = st.text("abz09.-_", max_size=8).map("h{}x".format)
SERVERS = near("https://", "h.example", ":9000", "/s", "/api/0", "/") | near("acme.", "sentry.io") | st.text()
LOCATIONS = (
    near("https://", "h.example", ":9000", "/s", "/api/", "0", "/issues", "/8", "/")
    | near("/s", "/api/", "0", "/issues", "/8", "/", "..", "/9", "?a=b")
    | near("..", "/", "..", "/", "8", "/", "?a=b")
    | st.text()
)
ISSUES = (
    near("https://", "acme.", "sentry.io", "/issues/", "PUMP", "-", "1K", "/")
    | near("http://", "h.example", ":9000", "/s", "/organizations/", "acme", "/issues/", "123", "/events/")
    | near("https://h.example/", "acme", "/", "pump-station", "/groups/", "123", "?a=b")
    | near("PUMP", "-", "STATION", "-", "1K")
    | near("1", "2", "3")
    | st.text()
)


def as_sent(url: str) -> str:
    """The URL as the HTTP library sends it, which un-quotes what it may and folds dots away."""
    return requests.Request("GET", url).prepare().url or ""


class AddressProperties(unittest.TestCase):
    @many
    @given(
        near("https", "://", SECRET, ":", SECRET, "@", "h.example", ":9000", "/s", "/42", "")
        | near("https://", SECRET, "@", "[::1]", ":9000", "/42", "/?a")
        | st.builds("{}{}{}".format, st.text(), st.just(SECRET), st.text())
    )
    def test_a_text_is_a_dsn_or_refused_in_words_that_do_not_quote_it(self, text: str) -> None:
        try:
            dsn = parse_dsn(text)
        except MalformedDSN as error:
            self.assertNotIn(SECRET[:16], str(error))
            self.assertTrue(error.__suppress_context__ or error.__context__ is None)
        else:
            for url in (dsn.store_url, dsn.envelope_url):
                self.assertNotIn(SECRET, url)
                self.assertEqual(as_sent(url), url)
            self.assertNotIn("secret", repr(dsn))

    @many
    @given(
        scheme=st.sampled_from(("http", "https")),
        keys=st.tuples(KEYS, KEYS | st.just("")),
        origin=HOSTS | st.builds("{}:{}".format, HOSTS, st.integers(1, 65535)),
        prefix=st.lists(NAMES.map("/{}".format), max_size=3).map("".join),
        project=st.integers(0, 10**20 - 1),
    )
    def test_a_dsn_that_is_put_together_is_read_back(
        self, scheme: str, keys: tuple[str, str], origin: str, prefix: str, project: int
    ) -> None:
        user = ":".join(filter(None, keys))
        dsn = parse_dsn(f"{scheme}://{user}@{origin}{prefix}/{project}")
        self.assertEqual(dsn, DSN(f"{scheme}://{origin}{prefix}", str(project), *keys))

    @many
    @given(SERVERS)
    def test_a_server_that_is_accepted_is_accepted_as_it_is_written(self, text: str) -> None:
        try:
            server = Server.parse(text)
        except UnusableAddress:
            return
        self.assertEqual(Server.parse(server.base), server)
        self.assertEqual(as_sent(server.api()), f"{server.base}/api/0/")

    @many
    @given(st.lists(st.text() | near("a", "/", "..", "%2e", "b"), max_size=5))
    def test_every_segment_of_an_endpoint_keeps_its_place(self, segments: list[str]) -> None:
        server = Server("https://h.example:9000/s")
        try:
            url = server.api(*segments)
        except UnusableAddress:
            return
        for sent in (url, as_sent(url)):
            parts = urlsplit(sent)
            self.assertEqual((parts.scheme, parts.netloc), ("https", "h.example:9000"))
            self.assertEqual((parts.query, parts.fragment), ("", ""))
            self.assertTrue(parts.path.startswith("/s/api/0/"))
            self.assertEqual(parts.path.count("/"), len("sa0") + len(segments) + 1)
            self.assertTrue(sent.isascii() and sent.isprintable() and " " not in sent)

    @many
    @given(LOCATIONS)
    @example("//h.example:9000/s/api/0/../../x")
    @example("https://h.example:9000/s/api/0/%2e%2e/%2E%2E/x")
    def test_a_redirect_leads_within_the_api_or_nowhere(self, location: str) -> None:
        to = redirect_url("https://h.example:9000/s/api/0/issues/7/", location)
        if to is not None:
            parts = urlsplit(as_sent(to))
            self.assertEqual((parts.scheme, parts.netloc), ("https", "h.example:9000"))
            self.assertTrue(parts.path.startswith("/s/api/"))

    @many
    @given(ISSUES, st.just("") | NAMES)
    def test_a_text_is_an_issue_whose_id_needs_no_quoting_or_refused(self, text: str, organization: str) -> None:
        try:
            reference = IssueReference.parse(text, organization)
        except UnusableAddress as error:
            self.assertTrue(error.__suppress_context__ or error.__context__ is None)
            return
        self.assertRegex(reference.issue_id, r"\A[A-Za-z0-9_-]+\Z")
        self.assertRegex(reference.organization, r"\A[A-Za-z0-9_~-]*\Z")
        if organization:
            self.assertEqual(reference.organization, organization)

    @many
    @given(near("sntrys_", "eyJ1cmwiOiJodHRwczovL2guZXhhbXBsZS8", "ifQ=", "=", "_", SECRET) | st.text())
    def test_a_token_names_a_server_that_is_one_or_none(self, token: str) -> None:
        region = token_kind(token).region
        if region:
            self.assertEqual(Server.parse(region).base, region)


class PaginationProperties(unittest.TestCase):
    @many
    @given(
        near(
            "<",
            "https://h.example/?",
            "cursor=",
            "0:100:0",
            ">",
            "; ",
            'rel="next"',
            "; ",
            'results="true"',
            "; ",
            'cursor="a"',
        )
        | st.builds('<{}>; rel="next"; results="true"{}'.format, st.text(), st.text())
    )
    def test_a_link_header_names_a_cursor_or_none_or_is_broken(self, header: str) -> None:
        try:
            cursor = next_cursor(header)
        except BrokenListing:
            return
        self.assertTrue(cursor is None or (isinstance(cursor, str) and cursor))

    @many
    @given(before=st.text(), cursor=st.text(min_size=1), after=st.booleans())
    def test_a_cursor_is_read_as_sentry_writes_it(self, before: str, cursor: str, after: bool) -> None:
        before, cursor = before.replace('"', ""), cursor.replace('"', "'")
        links = [
            f'<https://h.example/?&cursor={quote(at, errors="replace")}>; rel="{rel}"; results="true"; cursor="{at}"'
            for rel, at in (("previous", before), ("next", cursor))
        ]
        self.assertEqual(next_cursor(", ".join(links[::-1] if after else links)), cursor)

    @many
    @given(st.text() | near("0:100:0", "@", "7"), st.integers(0, 10**9 - 1))
    def test_a_position_is_read_as_it_was_written(self, cursor: str, skip: int) -> None:
        cursor = re.sub(r"@\d*\Z", "", cursor)
        for position in (Position(cursor, skip), Position(cursor)):
            self.assertEqual(Position.parse(str(position)), position)


class WordsProperties(unittest.TestCase):
    def check(self, body: bytes) -> None:
        for status in (200, 302, 403, 503):
            response = Response(status, {"location": body.decode("latin-1")}, body)
            words = errors.server_words(response, (SECRET,))
            self.assertIsInstance(words, str)
            self.assertLessEqual(len(words), errors.LONGEST_WORDS + len("..."))
            self.assertTrue(words.isprintable())
            target = errors.Target("issue 7")
            for error in (
                errors.response_error(target, response, (SECRET,)),
                errors.ingestion_error(target, response, (SECRET,)),
                errors.not_a_sentry(response, (SECRET,)),
                errors.unexpected_answer(target, response, (SECRET,)),
            ):
                for text in (words, error.cause, error.assistance, error.data):
                    self.assertNotIn(SECRET[:16], text)

    @many
    @given(
        st.lists(
            st.binary(max_size=40) | st.sampled_from((SECRET.encode(), b"<html>", b"<title>", b'{"', b'"')), max_size=8
        )
    )
    def test_any_bytes_become_words_of_bounded_length_without_the_secret(self, parts: list[bytes]) -> None:
        self.check(b"".join(parts))

    @some
    @given(
        st.recursive(
            JSON | st.just(SECRET) | st.builds("{}{}{}".format, st.text(), st.just(SECRET), st.text()),
            lambda inner: st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(("detail", "message", "causes", "x", SECRET)), inner, max_size=3)
            | inner.map(json.dumps),
            max_leaves=8,
        )
    )
    def test_any_json_becomes_words_of_bounded_length_without_the_secret(self, value: Any) -> None:
        self.check(json.dumps(value).encode())
        self.check(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def records_of(schema: dict[str, Any], name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Records whose declared keys hold anything, and at times what looks like the declared."""
    definitions = schema["definitions"]
    nested = sorted({key for definition in definitions.values() for key in definition["properties"]})
    looking_right = st.dictionaries(st.sampled_from(nested) | st.text(max_size=3), JSON, max_size=4)
    pairs = st.lists(st.tuples(st.sampled_from(nested), JSON).map(list), max_size=3)
    texts = st.sampled_from(("user:1", "team:2", "7", "1e3", "true", "<a href='https://h.example/'>a</a>", "<a", "²"))
    values = JSON | looking_right | pairs | st.lists(looking_right, max_size=3) | texts
    keys = st.sampled_from(sorted(definitions[name]["properties"])) | st.text(max_size=4)
    return st.dictionaries(keys, values, max_size=8)


def free_form_keys(schema: dict[str, Any], name: str) -> list[str]:
    return [
        key for key, declared in schema["definitions"][name]["properties"].items() if declared.get("type") == "object"
    ]


class RecordProperties(unittest.TestCase):
    def check(self, output: Any, schema: dict[str, Any]) -> Any:
        shaped = conform(output, schema, is_output=True)
        Draft202012Validator(schema).validate(shaped)
        self.assertEqual(repr(conform(copy.deepcopy(shaped), schema, is_output=True)), repr(shaped))
        return shaped

    def check_free_form(self, given: dict[str, Any], shaped: dict[str, Any], keys: list[str]) -> None:
        """Neither dropped nor changed, down to the nulls."""
        before = {key: given[key] for key in keys if isinstance(given.get(key), dict)}
        self.assertEqual(repr({key: shaped.get(key) for key in before}), repr(before))

    @some
    @given(records_of(ListProjectIssuesOutput.schema, "Issue"))
    def test_any_issue_is_returned_as_the_schema_says_with_its_free_form_parts_untouched(self, raw: Any) -> None:
        for key, schema in (("issues", ListProjectIssuesOutput.schema), ("issue", UpdateIssueOutput.schema)):
            record = issue_record(copy.deepcopy(raw))
            shaped = self.check({key: [record] if key == "issues" else record}, schema)[key]
            issue = shaped[0] if key == "issues" else shaped
            keys = free_form_keys(schema, "Issue")
            self.assertLessEqual({"stats", "metadata", "statusDetails"}, {*keys})
            self.check_free_form(raw, issue, keys)

    @some
    @given(records_of(ListIssueEventsOutput.schema, "Event"))
    def test_any_event_is_returned_as_the_schema_says_with_its_free_form_parts_untouched(self, raw: Any) -> None:
        schema = ListIssueEventsOutput.schema
        event = self.check({"events": [event_record(copy.deepcopy(raw))]}, schema)["events"][0]
        keys = free_form_keys(schema, "Event")
        self.assertLessEqual({"context", "contexts", "metadata", "packages"}, {*keys})
        self.check_free_form(raw, event, keys)

    @some
    @given(records_of(SubmitEventInput.schema, "EventJSON"))
    def test_any_event_to_submit_gets_its_shape_and_its_json_or_is_refused(self, raw: Any) -> None:
        before = repr(raw)
        schema = {"$ref": "#/definitions/EventJSON", "definitions": SubmitEventInput.schema["definitions"]}
        event = conform(canonical_event(raw), schema)
        self.assertEqual(repr(raw), before)
        self.assertIsInstance(has_content(event), bool)
        self.check(canonical_event(raw), schema)
        try:
            body = event_json(event)
        except ValueError:
            self.assertRegex(repr(event), r"\b(nan|inf)\b")
        else:
            self.assertIsInstance(json.loads(body), dict)


HINTS: st.SearchStrategy[dict[str, str]] = st.fixed_dictionaries(
    {},
    optional={
        "retry-after": near("Sat", ", ", "01 ", "Aug ", "2026 ", "12", ":00", ":00 ", "GMT")
        | near("6", "0")
        | st.text(),
        "x-sentry-rate-limits": near("60", ":", "error", ";", "default", ":", "key", ",", "5", "::") | st.text(),
        "x-sentry-rate-limit-reset": near("17855", "85660", ".5") | st.text(),
    },
)


class RetryProperties(unittest.TestCase):
    @many
    @given(headers=HINTS, status=st.integers(400, 599), tries=st.integers(1, 10**6), jitter=st.floats(0, 1))
    def test_a_hint_is_none_or_a_finite_number_of_seconds(
        self, headers: dict[str, str], status: int, tries: int, jitter: float
    ) -> None:
        response = Response(status, headers, b"")
        hint = hinted_seconds(replace(response, status=429), NOW, jitter)
        self.assertTrue(hint is None or (math.isfinite(hint) and hint >= 0), hint)
        request = Request("GET", "https://h.example/api/0/")
        for outcome in (response, replace(response, status=429), Unreachable("lost", "")):
            wait = wait_before_retry(request, outcome, tries, NOW, jitter)
            self.assertTrue(wait is None or 0 <= wait <= max(hint or 0, LONGEST_BACKOFF_SECONDS), wait)
            self.assertTrue(errors.happening(request.host, outcome).isprintable())
        waiting = replace(response, effort=Effort(requests=2, waited=1.0, next_wait=hint, next_try=NOW))
        self.assertTrue(errors.response_error(errors.Target("it"), waiting).assistance.isprintable())


class PreflightProperties(unittest.TestCase):
    @some
    @given(st.dictionaries(st.sampled_from(("auth", "user", "scopes", "slug", "organization", "email", "id")), JSON))
    def test_whatever_a_server_says_of_a_token_makes_a_report(self, answer: Any) -> None:
        for identity in (answer, {"auth": answer, "user": answer}):
            scopes, projects = scopes_of(identity), project_names([answer, {"slug": "a", "organization": answer}])
            report = Preflight("https://h.example", "", token_kind(""), user_of(identity), scopes, projects)
            self.assertTrue(all(report.lines()))
            self.assertTrue(json.dumps(report.output()))

    @some
    @given(near('{"version":', " {", '"build": "1", ', '"current":', ' "', "24.1.0", '"', "}}"))
    def test_whatever_a_page_holds_a_version_is_short_and_plain(self, page: str) -> None:
        self.assertRegex(version_in(page), r"\A[0-9A-Za-z.+_-]{0,40}\Z")
