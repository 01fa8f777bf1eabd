"""Properties that hold for all inputs, checked on many generated ones."""

import copy
import json
import math
import unittest
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from hypothesis import example, given
from hypothesis import strategies as st
from insightconnect_plugin_runtime.util import OutputMasker
from jsonschema import Draft202012Validator

from komand_sentry.actions.list_issue_events.schema import ListIssueEventsOutput
from komand_sentry.actions.list_project_issues.schema import ListProjectIssuesOutput
from komand_sentry.actions.submit_event.schema import SubmitEventInput
from komand_sentry.actions.update_issue.schema import UpdateIssueOutput
from komand_sentry.util.coerce import coerce
from komand_sentry.util.errors.factory import (
    ErrorContext,
    ingestion_error,
    not_sentry,
    response_error,
    unexpected_response,
)
from komand_sentry.util.errors.redaction import MAX_QUOTE_LENGTH, mask_secret
from komand_sentry.util.errors.server_message import server_message
from komand_sentry.util.http.messages import AttemptStats, FailureKind, Request, Response, TransportError
from komand_sentry.util.http.retry import MAX_BACKOFF_SECONDS, describe_failure, retry_delay
from komand_sentry.util.http.urls import InvalidURL, join_url, redirect_url
from komand_sentry.util.sentry.auth_token import token_type
from komand_sentry.util.sentry.connection_check import ConnectionReport, scopes_of, user_of, version_in
from komand_sentry.util.sentry.dsn import DSN, InvalidDSN, parse_dsn
from komand_sentry.util.sentry.event_payload import has_content, normalize_event_json, serialize_event
from komand_sentry.util.sentry.issue_reference import IssueReference
from komand_sentry.util.sentry.normalize import normalize_event, normalize_issue
from komand_sentry.util.sentry.pagination import PaginationError, next_cursor
from komand_sentry.util.sentry.rate_limits import server_retry_delay
from komand_sentry.util.sentry.server import Server
from komand_sentry.util.step import build_output
from testing.support import ACTIONS
from unit_test.conftest import many, some

NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
SECRET = "sntryu_" + "0123456789abcdef" * 4
# Tokens with characters that JSON escapes, and short ones.
TOKENS = (SECRET, "a-token", 'to"ken\\with/odd:characters', "ab", "x")

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
    """The parts joined, sometimes with an odd text instead of one of them."""
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
    """The URL as the HTTP library sends it, which decodes some characters and removes dot segments."""
    return requests.Request("GET", url).prepare().url or ""


class URLProperties(unittest.TestCase):
    @many
    @given(
        near("https", "://", SECRET, ":", SECRET, "@", "h.example", ":9000", "/s", "/42", "")
        | near("https://", SECRET, "@", "[::1]", ":9000", "/42", "/?a")
        | st.builds("{}{}{}".format, st.text(), st.just(SECRET), st.text())
    )
    def test_text_is_a_dsn_or_rejected_without_quoting_it(self, text: str) -> None:
        try:
            dsn = parse_dsn(text)
        except InvalidDSN as error:
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
    def test_dsn_of_valid_parts_is_parsed_to_these_parts(
        self, scheme: str, keys: tuple[str, str], origin: str, prefix: str, project: int
    ) -> None:
        user = ":".join(filter(None, keys))
        dsn = parse_dsn(f"{scheme}://{user}@{origin}{prefix}/{project}")
        self.assertEqual(dsn, DSN(f"{scheme}://{origin}{prefix}", str(project), *keys))

    @many
    @given(SERVERS)
    def test_parsed_base_url_is_sent_unchanged(self, text: str) -> None:
        try:
            server = Server.parse(text)
        except InvalidURL:
            return
        self.assertEqual(Server.parse(server.base), server)
        self.assertEqual(as_sent(join_url(f"{server.base}/api/0")), f"{server.base}/api/0/")

    @many
    @given(st.lists(st.text() | near("a", "/", "..", "%2e", "b"), max_size=5))
    def test_segments_do_not_change_the_structure_of_a_url(self, segments: list[str]) -> None:
        try:
            url = join_url("https://h.example:9000/s/api/0", *segments)
        except InvalidURL:
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
    def test_followed_redirect_stays_below_the_prefix(self, location: str) -> None:
        prefix = "https://h.example:9000/s/api/"
        target = redirect_url(f"{prefix}0/issues/7/", location, prefix)
        if target is not None:
            parts = urlsplit(as_sent(target))
            self.assertEqual((parts.scheme, parts.netloc), ("https", "h.example:9000"))
            self.assertTrue(parts.path.startswith("/s/api/"))

    @many
    @given(ISSUES, st.just("") | NAMES)
    def test_text_is_an_issue_reference_that_needs_no_encoding_or_rejected(self, text: str, organization: str) -> None:
        try:
            reference = IssueReference.parse(text, organization)
        except InvalidURL as error:
            self.assertTrue(error.__suppress_context__ or error.__context__ is None)
            return
        self.assertRegex(reference.issue_id, r"\A[A-Za-z0-9_-]+\Z")
        self.assertRegex(reference.organization, r"\A[A-Za-z0-9_~-]*\Z")
        if organization:
            self.assertEqual(reference.organization, organization)

    @many
    @given(near("sntrys_", "eyJ1cmwiOiJodHRwczovL2guZXhhbXBsZS8", "ifQ=", "=", "_", SECRET) | st.text())
    def test_region_of_a_token_is_a_base_url_or_empty(self, token: str) -> None:
        region = token_type(token).region
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
    def test_link_header_has_a_cursor_or_none_or_is_invalid(self, header: str) -> None:
        try:
            cursor = next_cursor(header)
        except PaginationError:
            return
        self.assertTrue(cursor is None or (isinstance(cursor, str) and cursor))

    @many
    @given(before=st.text(), cursor=st.text(min_size=1), after=st.booleans())
    def test_cursor_of_a_header_of_sentry_is_parsed(self, before: str, cursor: str, after: bool) -> None:
        before, cursor = before.replace('"', ""), cursor.replace('"', "'")
        links = [
            f'<https://h.example/?&cursor={quote(at, errors="replace")}>; rel="{rel}"; results="true"; cursor="{at}"'
            for rel, at in (("previous", before), ("next", cursor))
        ]
        self.assertEqual(next_cursor(", ".join(links[::-1] if after else links)), cursor)


def masked_by_the_runtime(value: Any, secret: str) -> Any:
    return OutputMasker.mask_str_in_dict(secret, copy.deepcopy(value))


@st.composite
def values_with(draw: st.DrawFn, secret: str) -> Any:
    """JSON values whose texts hold the secret as a whole, parts of it, or nothing of it."""
    start, end = st.integers(0, len(secret)), st.integers(0, len(secret))
    part = st.builds(lambda first, last: secret[first:last], start, end)
    piece = st.just(secret) | st.just(secret[:-1]) | part | st.text(max_size=4) | st.sampled_from(secret)
    text = st.lists(piece, max_size=4).map("".join)
    value = st.recursive(
        JSON | text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=6,
    )
    return draw(value)


def escape(character: str) -> str:
    """A character of a JSON string as an escape sequence, which a server may use for any character."""
    return "\\/" if character == "/" else f"\\u{ord(character):04x}"


class MaskProperties(unittest.TestCase):
    def assert_masked(self, secret: str, value: Any, raw: bytes) -> None:
        self.assertEqual(repr(mask_secret(value, secret, raw)), repr(masked_by_the_runtime(value, secret)))

    @many
    @given(st.sampled_from(TOKENS).flatmap(lambda secret: st.tuples(st.just(secret), values_with(secret))))
    @example((SECRET, [SECRET[: int(len(SECRET) * 0.8)], SECRET[: int(len(SECRET) * 0.8) + 1]]))
    @example((SECRET, SECRET[:40] + "-" + SECRET))
    def test_result_equals_that_of_the_runtime(self, case: tuple[str, Any]) -> None:
        secret, value = case
        self.assert_masked(secret, value, json.dumps(value).encode())
        self.assert_masked(secret, value, json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass"))

    @many
    @given(st.sampled_from(TOKENS), st.data())
    def test_secret_that_json_escapes_is_masked(self, secret: str, data: st.DataObject) -> None:
        positions = data.draw(st.sets(st.integers(0, len(secret) - 1), min_size=1, max_size=4))
        characters = (json.dumps(character)[1:-1] for character in secret)
        escaped = "".join(
            escape(secret[position]) if position in positions else character
            for position, character in enumerate(characters)
        )
        raw = f'{{"a": ["before {escaped} after"]}}'.encode()
        value = json.loads(raw)
        self.assertIn(secret, value["a"][0])
        self.assert_masked(secret, value, raw)
        if len(secret) > 2:
            self.assertNotIn(secret, mask_secret(value, secret, raw)["a"][0])


class ServerMessageProperties(unittest.TestCase):
    def check(self, body: bytes) -> None:
        for status in (200, 302, 403, 503):
            response = Response(status, {"location": body.decode("latin-1")}, body)
            message = server_message(response, (SECRET,))
            self.assertLessEqual(len(message), MAX_QUOTE_LENGTH + len("..."))
            self.assertTrue(message.isprintable())
            context = ErrorContext("issue 7")
            for error in (
                response_error(context, response, (SECRET,)),
                ingestion_error(context, response, (SECRET,)),
                not_sentry(response, (SECRET,)),
                unexpected_response(context, response, (SECRET,)),
            ):
                for text in (message, error.cause, error.assistance, error.data):
                    self.assertNotIn(SECRET[:16], text)

    @many
    @given(
        st.lists(
            st.binary(max_size=40) | st.sampled_from((SECRET.encode(), b"<html>", b"<title>", b'{"', b'"')), max_size=8
        )
    )
    def test_message_of_any_bytes_is_short_and_without_the_secret(self, parts: list[bytes]) -> None:
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
    def test_message_of_any_json_is_short_and_without_the_secret(self, value: Any) -> None:
        self.check(json.dumps(value).encode())
        self.check(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def records_of(schema: dict[str, Any], name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Records with any JSON at the declared keys, and sometimes with values that look like the declared ones."""
    definitions = schema["definitions"]
    nested = sorted({key for definition in definitions.values() for key in definition["properties"]})
    similar = st.dictionaries(st.sampled_from(nested) | st.text(max_size=3), JSON, max_size=4)
    pairs = st.lists(st.tuples(st.sampled_from(nested), JSON).map(list), max_size=3)
    texts = st.sampled_from(("user:1", "team:2", "7", "1e3", "true", "<a href='https://h.example/'>a</a>", "<a", "²"))
    values = JSON | similar | pairs | st.lists(similar, max_size=3) | texts
    keys = st.sampled_from(sorted(definitions[name]["properties"])) | st.text(max_size=4)
    return st.dictionaries(keys, values, max_size=8)


def outputs_of(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Outputs of an action with any JSON, and sometimes with records of the declared type.

    Required outputs are always set, in their own type: actions make them, and only their content is from the server.
    """
    own = {"boolean": st.booleans(), "integer": st.integers(), "string": st.text(max_size=10)}

    def values(declared: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "$ref" in declared:
            return records_of(schema, declared["$ref"].rpartition("/")[2]) | JSON
        return st.lists(values(declared["items"]), max_size=3) | JSON if "items" in declared else JSON

    def required_values(declared: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "$ref" in declared:
            return records_of(schema, declared["$ref"].rpartition("/")[2])
        return st.lists(values(declared["items"]), max_size=3) if "items" in declared else own[declared["type"]]

    properties, required = schema["properties"], schema.get("required", [])
    return st.fixed_dictionaries(
        {key: required_values(properties[key]) for key in required},
        optional={key: values(part) for key, part in properties.items() if key not in required},
    )


def free_form_keys(schema: dict[str, Any], name: str) -> list[str]:
    return [
        key for key, declared in schema["definitions"][name]["properties"].items() if declared.get("type") == "object"
    ]


class OutputProperties(unittest.TestCase):
    def check(self, output: Any, schema: dict[str, Any]) -> Any:
        """Check that the output is valid after build_output, and return it with lists as in JSON."""
        built = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in build_output(output, schema).items()
        }
        Draft202012Validator(schema).validate(built)
        self.assertEqual(repr(coerce(copy.deepcopy(built), schema, is_output=True)), repr(built))
        return built

    def check_free_form(self, raw: dict[str, Any], built: dict[str, Any], keys: list[str]) -> None:
        """Check that free-form objects are unchanged, nulls included."""
        before = {key: raw[key] for key in keys if isinstance(raw.get(key), dict)}
        self.assertEqual(repr({key: built.get(key) for key in before}), repr(before))

    @some
    @given(st.data())
    def test_output_of_any_json_is_valid_for_every_action(self, data: st.DataObject) -> None:
        for action in ACTIONS.values():
            schema = action().output.schema
            self.check(data.draw(outputs_of(schema)), schema)

    @some
    @given(records_of(ListProjectIssuesOutput.schema, "Issue"))
    def test_output_of_any_issue_is_valid_and_keeps_free_form_objects(self, raw: Any) -> None:
        for key, schema in (("issues", ListProjectIssuesOutput.schema), ("issue", UpdateIssueOutput.schema)):
            record = normalize_issue(copy.deepcopy(raw))
            built = self.check({key: [record] if key == "issues" else record}, schema)[key]
            issue = built[0] if key == "issues" else built
            keys = free_form_keys(schema, "Issue")
            self.assertLessEqual({"stats", "metadata", "statusDetails"}, {*keys})
            self.check_free_form(raw, issue, keys)

    @some
    @given(records_of(ListIssueEventsOutput.schema, "Event"))
    def test_output_of_any_event_is_valid_and_keeps_free_form_objects(self, raw: Any) -> None:
        schema = ListIssueEventsOutput.schema
        event = self.check({"events": [normalize_event(copy.deepcopy(raw))]}, schema)["events"][0]
        keys = free_form_keys(schema, "Event")
        self.assertLessEqual({"context", "contexts", "metadata", "packages"}, {*keys})
        self.check_free_form(raw, event, keys)

    @some
    @given(records_of(SubmitEventInput.schema, "EventJSON"))
    def test_any_event_to_submit_is_normalized_and_serialized_or_rejected(self, raw: Any) -> None:
        before = repr(raw)
        schema = {"$ref": "#/definitions/EventJSON", "definitions": SubmitEventInput.schema["definitions"]}
        event = coerce(normalize_event_json(raw), schema)
        self.assertEqual(repr(raw), before)
        self.assertIsInstance(has_content(event), bool)
        coerced = coerce(normalize_event_json(copy.deepcopy(raw)), schema, is_output=True)
        Draft202012Validator(schema).validate(coerced)
        try:
            body = serialize_event(event)
        except ValueError:
            self.assertRegex(repr(event), r"\b(nan|inf)\b")
        else:
            self.assertIsInstance(json.loads(body), dict)


DELAY_HEADERS: st.SearchStrategy[dict[str, str]] = st.fixed_dictionaries(
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
    @given(headers=DELAY_HEADERS, status=st.integers(400, 599), attempts=st.integers(1, 10**6), jitter=st.floats(0, 1))
    def test_delay_is_none_or_a_finite_number_of_seconds(
        self, headers: dict[str, str], status: int, attempts: int, jitter: float
    ) -> None:
        limited = Response(429, headers, b"")
        server_delay = server_retry_delay(limited, NOW, jitter)
        self.assertTrue(server_delay is None or (math.isfinite(server_delay) and server_delay >= 0), server_delay)
        request = Request("GET", "https://h.example/api/0/")
        for outcome in (limited, replace(limited, status=status), TransportError(FailureKind.CLOSED, "")):
            delay = retry_delay(request, outcome, attempts, server_delay, jitter)
            self.assertTrue(delay is None or 0 <= delay <= max(server_delay or 0, MAX_BACKOFF_SECONDS), delay)
            self.assertTrue(describe_failure(request.host, outcome).isprintable())
        stats = AttemptStats(requests=2, waited=1.0, next_delay=server_delay, next_attempt_at=NOW)
        error = response_error(ErrorContext("issue 7"), replace(limited, status=status, stats=stats))
        self.assertTrue(error.assistance.isprintable())


class ConnectionReportProperties(unittest.TestCase):
    @some
    @given(st.dictionaries(st.sampled_from(("auth", "user", "scopes", "slug", "organization", "email", "id")), JSON))
    def test_report_of_any_identity_is_printable(self, body: Any) -> None:
        for identity in (body, {"auth": body, "user": body}):
            user, scopes = user_of(identity), scopes_of(identity)
            report = ConnectionReport("https://h.example", "", token_type(""), user, scopes, (user,))
            self.assertTrue(all(line.isprintable() for line in report.lines()))
            self.assertTrue(json.dumps(report.output()))

    @some
    @given(near('{"version":', " {", '"build": "1", ', '"current":', ' "', "24.1.0", '"', "}}"))
    def test_version_in_any_page_is_short_and_printable(self, page: str) -> None:
        self.assertRegex(version_in(page), r"\A[0-9A-Za-z.+_-]{0,40}\Z")
