import math
import unittest
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

from komand_sentry.util.http.messages import Response
from komand_sentry.util.sentry.rate_limits import server_retry_delay

NOW = datetime(2026, 8, 1, 12, 0, 0, 500000, UTC)


def response(headers: dict[str, str], status: int = 429) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


class ServerRetryDelayTest(unittest.TestCase):
    def assert_delay(self, seconds: float | None, **headers: str) -> None:
        with self.subTest(headers):
            delay = server_retry_delay(response(headers), NOW)
            if seconds is None or delay is None:
                self.assertIs(delay, seconds)
            else:
                self.assertTrue(math.isfinite(delay))
                self.assertAlmostEqual(delay, seconds)

    def test_without_a_header_there_is_no_delay(self) -> None:
        self.assert_delay(None)
        self.assert_delay(None, retry_after="", x_sentry_rate_limits="", x_sentry_rate_limit_reset=" ")

    def test_retry_after_in_seconds(self) -> None:
        for header, seconds in (
            ("0", 0.0),
            ("60", 60.0),
            (" 60 ", 60.0),
            ("007", 7.0),
            ("1.5", 1.5),
            ("0.000000001", 1e-9),
            ("999999999", 999_999_999.0),
        ):
            self.assert_delay(seconds, retry_after=header)

    def test_retry_after_as_a_date(self) -> None:
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
            self.assert_delay(seconds, retry_after=header)

    def test_invalid_retry_after_is_ignored(self) -> None:
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
            self.assert_delay(None, retry_after=header)

    def test_longest_ingestion_limit_for_errors_counts(self) -> None:
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
            self.assert_delay(seconds, x_sentry_rate_limits=header)

    def test_ingestion_limits_of_other_categories_are_ignored(self) -> None:
        for header in (
            "60:transaction:key",
            "60:replay;attachment;a_new_one:organization",
            "60:errors:key, 60:defaults:key",
            "60:metric_bucket:organization:quota_exceeded:custom",
        ):
            self.assert_delay(None, x_sentry_rate_limits=header)

    def test_only_the_invalid_ones_of_several_ingestion_limits_are_ignored(self) -> None:
        for broken in ("", ",", ":", "::", "x:error:key", "-1:error:key", "1e3:error:key", ":error", "1" * 10, "²::"):
            self.assert_delay(None, x_sentry_rate_limits=broken)
            self.assert_delay(7.0, x_sentry_rate_limits=f"{broken}, 7:error:key,{broken}")

    def test_spaces_in_ingestion_limits_are_ignored(self) -> None:
        for header in ("60 : error : key", "60: error ; transaction:key", "60:transaction; error:key", "60 ::key"):
            self.assert_delay(60.0, x_sentry_rate_limits=header)

    def test_reset_time_in_seconds_since_1970(self) -> None:
        now = int(NOW.timestamp())
        for header, seconds in (
            (str(now + 60), 59.5),
            (f"{now + 60}.75", 59.5),
            (str(now), 0.0),
            ("0", 0.0),
            ("999999999999", 999_999_999_999 - NOW.timestamp()),
        ):
            self.assert_delay(seconds, x_sentry_rate_limit_reset=header)

    def test_invalid_reset_time_is_ignored(self) -> None:
        for header in ("soon", "-1", "1e10", "1" * 13, "1.2.3", "²", "2026-08-01T12:01:00Z"):
            self.assert_delay(None, x_sentry_rate_limit_reset=header)

    def test_most_specific_valid_header_counts(self) -> None:
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
            self.assert_delay(
                seconds,
                retry_after=retry_after,
                x_sentry_rate_limits=x_sentry_rate_limits,
                x_sentry_rate_limit_reset=reset,
            )

    def test_jitter_is_added_to_the_reset_time_only(self) -> None:
        reset = f"{NOW.timestamp() + 7:.0f}"
        for headers, difference in (
            ({"x_sentry_rate_limit_reset": reset}, 0.5),
            ({"retry_after": "7"}, 0.0),
            ({"x_sentry_rate_limits": "7:error:key"}, 0.0),
        ):
            with self.subTest(headers):
                without, with_jitter = (server_retry_delay(response(headers), NOW, jitter) for jitter in (0.0, 0.5))
                self.assertEqual((with_jitter or 0.0) - (without or 0.0), difference)

    def test_reset_time_counts_only_if_the_request_was_rate_limited(self) -> None:
        """Every response of the web API has the header."""
        reset = f"{NOW.timestamp() + 7:.0f}"
        for status in (200, 404, 503):
            with self.subTest(status):
                self.assertIsNone(server_retry_delay(response({"x_sentry_rate_limit_reset": reset}, status), NOW))
                self.assertEqual(server_retry_delay(response({"retry_after": "7"}, status), NOW), 7.0)
