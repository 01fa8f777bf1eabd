import unittest
from datetime import UTC, datetime

from komand_sentry.util.http.messages import FailureKind, Request, Response, TransportError
from komand_sentry.util.http.retry import (
    FIRST_BACKOFF_SECONDS,
    MAX_BACKOFF_SECONDS,
    MIN_SERVER_DELAY,
    backoff_delay,
    describe_failure,
    parse_seconds,
    retry_after,
    retry_delay,
)

URL = "https://h.example/api/0/issues/7/"
GET, PUT, POST, DELETE = (Request(method, URL) for method in ("GET", "PUT", "POST", "DELETE"))
IDEMPOTENT, OTHERS = (GET, PUT, Request("POST", URL, idempotent=True)), (POST, DELETE)
TRANSIENT = {
    FailureKind.CLOSED,
    FailureKind.INCOMPLETE,
    FailureKind.TIMEOUT,
    FailureKind.REFUSED,
    FailureKind.DNS_TEMPORARY,
    FailureKind.PROXY,
    FailureKind.CONNECTION,
}
NOT_RECEIVED = {FailureKind.REFUSED, FailureKind.DNS_TEMPORARY}


def response(status: int) -> Response:
    return Response(status, {}, b"")


def delay(
    request: Request,
    outcome: Response | TransportError,
    attempts: int = 1,
    server_delay: float | None = None,
    jitter: float = 0.0,
) -> float | None:
    return retry_delay(request, outcome, attempts, server_delay, jitter)


class RetryDelayTest(unittest.TestCase):
    def test_rate_limited_request_is_retried_whatever_its_method(self) -> None:
        for request in (*IDEMPOTENT, *OTHERS):
            with self.subTest(request):
                self.assertEqual(delay(request, response(429)), 1.0)
                self.assertEqual(delay(request, response(429), server_delay=7.0), 7.0)

    def test_transient_status_is_retried_if_the_request_is_idempotent(self) -> None:
        for status in (502, 503, 504):
            for request in IDEMPOTENT:
                with self.subTest(status=status, request=request):
                    self.assertEqual(delay(request, response(status)), 1.0)
                    self.assertEqual(delay(request, response(status), server_delay=7.0), 7.0)
            for request in OTHERS:
                with self.subTest(status=status, request=request):
                    self.assertIsNone(delay(request, response(status), server_delay=7.0))

    def test_other_statuses_are_not_retried(self) -> None:
        for status in {*range(100, 600)} - {429, 502, 503, 504}:
            for request in (*IDEMPOTENT, *OTHERS):
                self.assertIsNone(delay(request, response(status), server_delay=7.0), (status, request))

    def test_transient_failure_is_retried_if_the_request_is_safe_to_repeat(self) -> None:
        for kind in FailureKind:
            for request in (*IDEMPOTENT, *OTHERS):
                with self.subTest(kind=kind, request=request):
                    is_retried = kind in (TRANSIENT if request in IDEMPOTENT else NOT_RECEIVED)
                    expected = 2.0 if is_retried else None
                    self.assertEqual(delay(request, TransportError(kind, ""), attempts=2), expected)

    def test_only_the_first_closed_connection_is_retried_immediately(self) -> None:
        closed = TransportError(FailureKind.CLOSED, "")
        for request in IDEMPOTENT:
            with self.subTest(request):
                delays = [delay(request, closed, attempts) for attempts in range(1, 5)]
                self.assertEqual(delays, [0.0, 2.0, 4.0, 8.0])
        for kind in TRANSIENT - {FailureKind.CLOSED}:
            with self.subTest(kind):
                self.assertEqual(delay(GET, TransportError(kind, "")), 1.0)

    def test_delay_of_the_server_is_not_shortened_and_has_a_minimum(self) -> None:
        for server_delay, first, fifth in (
            (0.0, MIN_SERVER_DELAY, 8.0),
            (0.25, MIN_SERVER_DELAY, 8.0),
            (90.0, 90.0, 90.0),
        ):
            for attempts, seconds in ((1, first), (5, fifth)):
                with self.subTest(server_delay=server_delay, attempts=attempts):
                    self.assertEqual(delay(GET, response(429), attempts, server_delay, jitter=1.0), seconds)


class BackoffTest(unittest.TestCase):
    def test_it_doubles_up_to_its_maximum(self) -> None:
        delays = [backoff_delay(attempts, jitter=0.0) for attempts in (1, 2, 3, 4, 5, 6, 7, 100, 10**9)]
        self.assertEqual(delays, [1.0, 2.0, 4.0, 8.0, 16.0, 16.0, 16.0, 16.0, 16.0])
        self.assertEqual((delays[0], delays[-1]), (FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS))

    def test_jitter_shortens_it_by_up_to_a_half(self) -> None:
        for attempts in range(1, 10):
            whole = backoff_delay(attempts, jitter=0.0)
            for jitter, share in ((0.25, 0.875), (0.5, 0.75), (1.0, 0.5)):
                with self.subTest(attempts=attempts, jitter=jitter):
                    self.assertAlmostEqual(backoff_delay(attempts, jitter), whole * share)
                    expected = backoff_delay(attempts, jitter)
                    self.assertEqual(delay(GET, response(503), attempts, jitter=jitter), expected)


class ParseTest(unittest.TestCase):
    """test_rate_limits.py has more of the forms of Retry-After."""

    def test_retry_after_is_a_number_or_a_date(self) -> None:
        now = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
        for header, seconds in (("7", 7.0), ("Sat, 01 Aug 2026 12:01:00 GMT", 60.0), ("soon", None), ("", None)):
            with self.subTest(header):
                self.assertEqual(retry_after(header, now), seconds)

    def test_seconds_have_a_maximum_number_of_digits(self) -> None:
        for text, max_digits, seconds in (
            ("999999999", 9, 999_999_999.0),
            ("1000000000", 9, None),
            ("1000000000", 10, 10.0**9),
            ("1.25", 9, 1.25),
            ("-1", 9, None),
            ("\u0661", 9, None),
        ):
            with self.subTest(text=text, max_digits=max_digits):
                self.assertEqual(parse_seconds(text, max_digits), seconds)


class DescribeFailureTest(unittest.TestCase):
    def test_description_names_the_host_and_the_failure_on_one_line(self) -> None:
        for outcome, words in (
            (response(429), "rate of requests (429)"),
            (response(503), "failed (503)"),
            (TransportError(FailureKind.CLOSED, "the reason"), "closed the connection"),
        ):
            with self.subTest(words):
                self.assertIn(words, describe_failure("h{0}.example:9000", outcome))
        for kind in FailureKind:
            with self.subTest(kind):
                line = describe_failure("h{0}.example:9000", TransportError(kind, "the reason"))
                self.assertIn("h{0}.example:9000", line)
                self.assertTrue(line.isprintable())
