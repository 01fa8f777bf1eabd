import math
import unittest
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

from komand_sentry.util.errors import UNREACHABLE
from komand_sentry.util.exchange import Request, Response, Unreachable
from komand_sentry.util.retry import (
    FIRST_BACKOFF_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    SHORTEST_HINTED_SECONDS,
    backoff_seconds,
    hinted_seconds,
    wait_before_retry,
)

NOW = datetime(2026, 8, 1, 12, 0, 0, 500000, UTC)
URL = "https://h.example/api/0/issues/7/"
GET, PUT, POST, DELETE = (Request(method, URL) for method in ("GET", "PUT", "POST", "DELETE"))
POST_WITH_ID = Request("POST", URL, has_own_id=True)
REPEATABLE, OTHERS = (GET, PUT, POST_WITH_ID), (POST, DELETE)


def refusal(status: int = 429, **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


def wait(request: Request, outcome: Response | Unreachable, tries: int = 1, jitter: float = 0.0) -> float | None:
    return wait_before_retry(request, outcome, tries, NOW, jitter)


class DecisionTest(unittest.TestCase):
    def test_a_refused_rate_is_worth_another_try_whatever_was_refused(self) -> None:
        for request in (*REPEATABLE, *OTHERS):
            with self.subTest(request):
                self.assertEqual(wait(request, refusal(429)), 1.0)
                self.assertEqual(wait(request, refusal(429, retry_after="7")), 7.0)

    def test_a_server_that_is_not_there_for_the_moment_is_asked_again_where_that_repeats_nothing(self) -> None:
        for status in (502, 503, 504):
            for request in REPEATABLE:
                with self.subTest(status=status, request=request):
                    self.assertEqual(wait(request, refusal(status)), 1.0)
                    self.assertEqual(wait(request, refusal(status, retry_after="7")), 7.0)
            for request in OTHERS:
                with self.subTest(status=status, request=request):
                    self.assertIsNone(wait(request, refusal(status, retry_after="7")))

    def test_no_other_status_is_worth_another_try(self) -> None:
        for status in {*range(100, 600)} - {429, 502, 503, 504}:
            with self.subTest(status):
                for request in (*REPEATABLE, *OTHERS):
                    self.assertIsNone(wait(request, refusal(status, retry_after="7")), request)

    def test_a_failure_that_passes_by_itself_is_worth_another_try_where_that_repeats_nothing(self) -> None:
        passing = {"lost", "cut off", "timeout", "refused", "resolver", "proxy", "connection"}
        not_acted_on = {"refused", "resolver"}
        self.assertLess(passing, UNREACHABLE.keys())
        for kind in (*UNREACHABLE, "a new kind"):
            for request in (*REPEATABLE, *OTHERS):
                with self.subTest(kind=kind, request=request):
                    is_worth_it = kind in (passing if request in REPEATABLE else not_acted_on)
                    self.assertEqual(wait(request, Unreachable(kind, ""), tries=2), 2.0 if is_worth_it else None)

    def test_a_connection_that_was_lost_is_made_anew_at_once_and_only_once(self) -> None:
        lost = Unreachable("lost", "")
        for request in REPEATABLE:
            with self.subTest(request):
                waits = [wait(request, lost, tries) for tries in range(1, 5)]
                self.assertEqual(waits, [0.0, 2.0, 4.0, 8.0])
        for kind in ("cut off", "timeout", "refused", "resolver", "proxy", "connection"):
            with self.subTest(kind):
                self.assertEqual(wait(GET, Unreachable(kind, "")), 1.0)

    def test_a_hint_is_not_shortened_by_jitter_and_never_below_a_second(self) -> None:
        for hint, first, fifth in (
            ("0", SHORTEST_HINTED_SECONDS, 8.0),
            ("0.25", SHORTEST_HINTED_SECONDS, 8.0),
            ("90", 90.0, 90.0),
        ):
            for tries, seconds in ((1, first), (5, fifth)):
                with self.subTest(hint=hint, tries=tries):
                    self.assertEqual(wait(GET, refusal(retry_after=hint), tries, jitter=1.0), seconds)

    def test_a_window_that_ends_for_everybody_at_once_gets_jitter(self) -> None:
        limited = refusal(429, x_sentry_rate_limit_reset=f"{NOW.timestamp() + 7:.0f}")
        first, second = (wait(GET, limited, tries=1, jitter=jitter) for jitter in (0.0, 0.5))
        self.assertEqual((second or 0.0) - (first or 0.0), 0.5)
        failed = refusal(503, x_sentry_rate_limit_reset=f"{NOW.timestamp() + 7:.0f}")
        self.assertEqual(wait(GET, failed, tries=1), 1.0)

    def test_a_hint_that_cannot_be_read_is_none(self) -> None:
        for hint in ("", "soon", "-1"):
            with self.subTest(hint):
                self.assertEqual(wait(GET, refusal(retry_after=hint), tries=3), 4.0)


class BackoffTest(unittest.TestCase):
    def test_it_doubles_up_to_its_cap(self) -> None:
        waits = [backoff_seconds(tries, jitter=0.0) for tries in (1, 2, 3, 4, 5, 6, 7, 100, 10**9)]
        self.assertEqual(waits, [1.0, 2.0, 4.0, 8.0, 16.0, 16.0, 16.0, 16.0, 16.0])
        self.assertEqual((waits[0], waits[-1]), (FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS))

    def test_jitter_shortens_it_by_up_to_a_half(self) -> None:
        for tries in range(1, 10):
            whole = backoff_seconds(tries, jitter=0.0)
            for jitter, share in ((0.25, 0.875), (0.5, 0.75), (1.0, 0.5)):
                with self.subTest(tries=tries, jitter=jitter):
                    self.assertAlmostEqual(backoff_seconds(tries, jitter), whole * share)
                    self.assertEqual(wait(GET, refusal(503), tries, jitter), backoff_seconds(tries, jitter))


class HintTest(unittest.TestCase):
    def assert_hint(self, seconds: float | None, **headers: str) -> None:
        with self.subTest(headers):
            found = hinted_seconds(refusal(429, **headers), NOW)
            if seconds is None or found is None:
                self.assertIs(found, seconds)
            else:
                self.assertTrue(math.isfinite(found))
                self.assertAlmostEqual(found, seconds)

    def test_without_a_header_there_is_none(self) -> None:
        self.assert_hint(None)
        self.assert_hint(None, retry_after="", x_sentry_rate_limits="", x_sentry_rate_limit_reset=" ")

    def test_retry_after_is_read_as_seconds(self) -> None:
        for header, seconds in (
            ("0", 0.0),
            ("60", 60.0),
            (" 60 ", 60.0),
            ("007", 7.0),
            ("1.5", 1.5),
            ("0.000000001", 1e-9),
            ("999999999", 999_999_999.0),
        ):
            self.assert_hint(seconds, retry_after=header)

    def test_retry_after_is_read_as_a_date(self) -> None:
        minute = NOW + timedelta(seconds=60)
        for header, seconds in (
            (format_datetime(minute, usegmt=True), 59.5),
            (format_datetime(minute.astimezone(timezone(timedelta(hours=-5)))), 59.5),
            ("Saturday, 01-Aug-26 12:01:00 GMT", 59.5),
            ("Sat Aug  1 12:01:00 2026", 59.5),
            ("Sat, 01 Aug 2026 12:01:00", 59.5),
            ("Sat, 01 Aug 2026 12:01:00 -0000", 59.5),
            ("Sat, 01 Aug 2026 12:00:00 GMT", 0.0),
            ("Wed, 02 May 2018 10:20:30 GMT", 0.0),
            ("Thu, 01 Jan 0001 00:00:00 GMT", 0.0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 251_616_715_198.5),
            ("Fri, 31 Dec 9999 23:59:59 -2300", 251_616_715_198.5 + 23 * 3600),
        ):
            self.assert_hint(seconds, retry_after=header)

    def test_retry_after_that_says_nothing_sensible_is_passed_over(self) -> None:
        for header in (
            "soon",
            "-1",
            "+1",
            "1e3",
            "1_000",
            "0x10",
            ".5",
            "5.",
            "60s",
            "60, 60",
            "inf",
            "nan",
            "1" * 10,
            "1" * 5000,
            "²",
            "\u0661\u0662",
            "2026-08-01T12:01:00Z",
            "Sat, 01 Aug , 12:01:00 GMT",
            "Sat, 32 Aug 2026 12:01:00 GMT",
            "Sat, 01 Aug 2026 25:01:00 GMT",
            "Sat, 01 Aug 99999 12:01:00 GMT",
            "Sat, 01 Aug 2026 12:01:00 +9999",
            ", ,",
        ):
            self.assert_hint(None, retry_after=header)

    def test_of_the_limits_of_ingestion_the_longest_that_concerns_errors_counts(self) -> None:
        for header, seconds in (
            ("60:error:key", 60.0),
            ("60:default:organization:reason", 60.0),
            ("60:transaction;error;security:organization", 60.0),
            ("60::organization", 60.0),
            ("60:", 60.0),
            ("60", 60.0),
            ("1.5:error:key", 1.5),
            ("60::organization, 2700::organization", 2700.0),
            ("60:transaction:key, 2700:default;error;security:organization", 2700.0),
            ("2700:error:key,60:error:key", 2700.0),
            ("5:error:key, 2700:transaction:key, 60:replay:key", 5.0),
            ("2700:metric_bucket:organization:quota_exceeded:custom, 5::key", 5.0),
            ("0:error:key", 0.0),
        ):
            self.assert_hint(seconds, x_sentry_rate_limits=header)

    def test_limits_of_other_categories_are_passed_over(self) -> None:
        for header in (
            "60:transaction:key",
            "60:replay;attachment;a_new_one:organization",
            "60:errors:key, 60:defaults:key",
            "60:metric_bucket:organization:quota_exceeded:custom",
        ):
            self.assert_hint(None, x_sentry_rate_limits=header)

    def test_limits_that_cannot_be_read_are_passed_over_and_the_others_are_not(self) -> None:
        for broken in ("", ",", ":", "::", "x:error:key", "-1:error:key", "1e3:error:key", ":error", "1" * 10, "²::"):
            self.assert_hint(None, x_sentry_rate_limits=broken)
            self.assert_hint(7.0, x_sentry_rate_limits=f"{broken}, 7:error:key,{broken}")

    def test_spaces_in_the_limits_are_ignored(self) -> None:
        for header in ("60 : error : key", "60: error ; transaction:key", "60:transaction; error:key", "60 ::key"):
            self.assert_hint(60.0, x_sentry_rate_limits=header)

    def test_the_end_of_the_window_is_read_as_seconds_since_1970(self) -> None:
        now = int(NOW.timestamp())
        for header, seconds in (
            (str(now + 60), 59.5),
            (f"{now + 60}.75", 59.5),
            (str(now), 0.0),
            ("0", 0.0),
            ("999999999999", 999_999_999_999 - NOW.timestamp()),
        ):
            self.assert_hint(seconds, x_sentry_rate_limit_reset=header)

    def test_an_end_of_the_window_that_says_nothing_sensible_is_passed_over(self) -> None:
        for header in ("soon", "-1", "1e10", "1" * 13, "1.2.3", "²", "2026-08-01T12:01:00Z"):
            self.assert_hint(None, x_sentry_rate_limit_reset=header)

    def test_the_most_explicit_header_that_can_be_read_counts(self) -> None:
        reset = str(int(NOW.timestamp()) + 30)
        limits = "20:error:key"
        for retry_after, x_sentry_rate_limits, seconds in (
            ("10", limits, 10.0),
            ("0", limits, 0.0),
            ("10", "", 10.0),
            ("soon", limits, 20.0),
            ("", limits, 20.0),
            ("soon", "20:transaction:key", 29.5),
            ("", "", 29.5),
        ):
            self.assert_hint(
                seconds,
                retry_after=retry_after,
                x_sentry_rate_limits=x_sentry_rate_limits,
                x_sentry_rate_limit_reset=reset,
            )
