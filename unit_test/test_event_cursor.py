"""Lists of events are complete, although the server leaves the order within a second open and pages by offset."""

import random
import unittest
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from komand_sentry.util.errors.factory import ErrorContext
from komand_sentry.util.http.client import RetryingClient
from komand_sentry.util.http.messages import Params
from komand_sentry.util.http.time_budget import TimeBudget
from komand_sentry.util.http.transport import Transport
from komand_sentry.util.sentry.event_cursor import EventCursor, second_of
from komand_sentry.util.sentry.events import EVENTS
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.sentry.pagination import Page, PageRange, RecordList, read_list
from testing.fake_clock import FakeClock

START = datetime(2026, 8, 1, 12, tzinfo=UTC)


class QuietLog:
    """A log that keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def info(self, text: str) -> None:
        """Ignore the line."""

    def warning(self, text: str) -> None:
        self.warnings.append(text)


class OffsetServer:
    """Lists events as Sentry 23.7.1 does: by whole seconds, ties in another order at each request, offset cursors.

    :param seconds: how many events each second has
    :param respects_window: `start` and `end` select events
    :param prefix: the first digits of all event IDs
    """

    def __init__(self, seconds: Iterable[int], respects_window: bool = True, seed: int = 0, prefix: str = "") -> None:
        self.random = random.Random(seed)
        self.prefix = prefix
        self.respects_window = respects_window
        self.requests: list[dict[str, str]] = []
        self.events: list[Record] = []
        for second, count in enumerate(seconds):
            time = (START + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
            self.events += [{"eventID": self._new_id(), "dateCreated": time} for _ in range(count)]

    def _new_id(self) -> str:
        return self.prefix + f"{self.random.getrandbits(128):032x}"[len(self.prefix) :]

    @property
    def ids(self) -> list[str]:
        return [event["eventID"] for event in self.events]

    def fetch(self, params: Params) -> Page:
        query = dict(params)
        self.requests.append(query)
        events = self.events[:]
        self.random.shuffle(events)
        events.sort(key=lambda event: str(event["dateCreated"]), reverse=True)
        if self.respects_window and "end" in query:
            assert query["start"] < query["end"]
            events = [event for event in events if event["dateCreated"] < query["end"]]
        offset, size = int(query.get("cursor", "0:0:0").split(":")[1]), int(query["per_page"])
        assert 0 < size <= 100
        more = offset + size < len(events)
        page = [dict(event) for event in events[offset : offset + size]]
        return Page(page, f"0:{offset + size}:0" if more else None)


def list_events(server: Any, limit: int = 0, cursor: str = "", log: QuietLog | None = None) -> RecordList:
    """One step."""
    clock = FakeClock()
    http = RetryingClient(Transport(), TimeBudget(60, clock), log or QuietLog(), lambda: 0.0, lambda *_: None)
    return read_list(server.fetch, EVENTS, PageRange(limit, cursor), ErrorContext("issue 1"), http)


def ids_of(events: RecordList) -> list[str]:
    return [str(event["eventID"]) for event in events.records]


class TestEventsByTime(unittest.TestCase):
    def test_a_page_boundary_within_a_second_loses_nothing(self) -> None:
        for seed in range(20):
            server = OffsetServer([60, 80, 50, 60], seed=seed)
            events = list_events(server)
            self.assertCountEqual(ids_of(events), server.ids)
            self.assertFalse(events.truncated)
            self.assertLessEqual(len(server.requests), 6)

    def test_ids_that_start_with_the_same_digits_are_different(self) -> None:
        """Like UUIDs of version 7, which start with the time."""
        for prefix in ("01980000a1b2", "01980000a1b27c3d8e4f"):
            with self.subTest(prefix):
                server = OffsetServer([60, 80, 50, 60], prefix=prefix)
                events = list_events(server)
                self.assertCountEqual(ids_of(events), server.ids)
                self.assertFalse(events.truncated)
                found: list[str] = []
                cursor: str | None = ""
                while cursor is not None:
                    events = list_events(server, 45, cursor)
                    found += ids_of(events)
                    cursor = events.next_cursor
                self.assertCountEqual(found, server.ids)

    def test_events_are_listed_newest_first(self) -> None:
        events = list_events(OffsetServer([60, 80, 50, 60]))
        times = [event["dateCreated"] for event in events.records]
        self.assertEqual(times, sorted(times, reverse=True))

    def test_the_window_has_a_start_and_an_exclusive_end(self) -> None:
        server = OffsetServer([50, 60])
        list_events(server)
        self.assertNotIn("end", server.requests[0])
        self.assertEqual(server.requests[1]["end"], "2026-08-01T12:00:01")
        self.assertNotIn("cursor", server.requests[1])

    def test_more_than_a_page_within_one_second_is_complete_or_says_that_it_may_not_be(self) -> None:
        for seed in range(20):
            server = OffsetServer([30, 250, 30], seed=seed)
            log = QuietLog()
            events = list_events(server, log=log)
            self.assertLessEqual(max(Counter(ids_of(events)).values()), 1)
            if len(events.records) < len(server.ids):
                self.assertTrue(events.truncated)
                self.assertIn("skipped", str(events.warning))
                self.assertTrue(log.warnings)
            # What lies before and after that second is complete in any case.
            others = set(server.ids[:30] + server.ids[-30:])
            self.assertLessEqual(others, set(ids_of(events)))

    def test_a_server_that_ignores_the_window_is_followed_by_its_cursors(self) -> None:
        server = OffsetServer([1] * 250, respects_window=False)
        events = list_events(server)
        self.assertCountEqual(ids_of(events), server.ids)
        self.assertLess(len(server.requests), 6)

    def test_a_repeated_event_at_a_cursor_is_reported(self) -> None:
        server = OffsetServer([150], respects_window=False)
        reports = 0
        for seed in range(5):
            server.random.seed(seed)
            events = list_events(server)
            if len(events.records) < 150:
                reports += 1
                self.assertTrue(events.truncated)
                self.assertIn("repeated", str(events.warning))
        self.assertGreater(reports, 0)

    def test_date_cursors_of_sentry_9_are_followed(self) -> None:
        pages = {
            "": Page([{"eventID": "a" * 32, "dateCreated": "2026-08-01T12:00:00Z"}], "1785585600000:0:0"),
            "1785585600000:0:0": Page([{"eventID": "b" * 32, "dateCreated": "2026-08-01T11:00:00Z"}], None),
        }

        class Server:
            def fetch(self, params: Params) -> Page:
                assert "end" not in dict(params)
                return pages[dict(params).get("cursor", "")]

        events = list_events(Server())
        self.assertEqual(ids_of(events), ["a" * 32, "b" * 32])
        self.assertFalse(events.truncated)

    def test_a_cursor_of_an_earlier_version_continues(self) -> None:
        for cursor in ("0:100:0", "0:100:0@7"):
            server = OffsetServer([1] * 250)
            events = list_events(server, cursor=cursor)
            self.assertEqual(server.requests[0]["cursor"], "0:100:0")
            self.assertCountEqual(ids_of(events), server.ids[:150])


class TestWindows(unittest.TestCase):
    END = datetime(2026, 8, 1, 12, 0, 1, tzinfo=UTC)

    def start(self, now: datetime) -> str:
        return dict(EventCursor(end=self.END).params(now))["start"]

    def test_the_window_starts_90_days_ago(self) -> None:
        self.assertEqual(self.start(datetime(2026, 8, 2, tzinfo=UTC)), "2026-05-04T00:00:00")

    def test_a_wrong_clock_does_not_put_the_start_after_the_end(self) -> None:
        self.assertEqual(self.start(datetime(2030, 1, 1, tzinfo=UTC)), "2026-05-03T12:00:01")
        self.assertEqual(self.start(datetime(2026, 10, 30, 12, 0, 1, tzinfo=UTC)), "2026-05-03T12:00:01")

    def test_times_have_any_offset_or_none(self) -> None:
        for text in ("2026-08-01T12:00:00Z", "2026-08-01T14:00:00.5+02:00", "2026-08-01T12:00:00"):
            self.assertEqual(second_of({"dateCreated": text}), datetime(2026, 8, 1, 12, tzinfo=UTC))
        for value in ("soon", "", None, 1785585600):
            self.assertIsNone(second_of({"dateCreated": value}))

    def test_times_at_the_limits_of_the_calendar_are_not_used(self) -> None:
        for text in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"):
            with self.subTest(text):
                self.assertIsNone(second_of({"dateCreated": text}))
                requests: list[dict[str, str]] = []
                pages = [
                    Page([{"eventID": f"{number:032x}", "dateCreated": text}], cursor)
                    for number, cursor in enumerate(("0:1:0", None))
                ]

                class Server:
                    def fetch(
                        self,
                        params: Params,
                        requests: list[dict[str, str]] = requests,
                        pages: list[Page] = pages,
                    ) -> Page:
                        requests.append(dict(params))
                        return pages.pop(0)

                given = f"before:{text[:19]}Z"
                events = list_events(Server(), cursor=given)
                self.assertEqual((len(events.records), events.truncated), (2, False))
                # No time to continue at, so both are cursors of the server.
                self.assertEqual([request["cursor"] for request in requests], [given, "0:1:0"])

    def test_a_surplus_in_a_page_without_times_cannot_be_continued(self) -> None:
        class Server:
            def fetch(self, _: Params) -> Page:
                return Page([{"eventID": f"{number:032x}"} for number in range(3)], "0:3:0")

        events = list_events(Server(), limit=2)
        self.assertEqual((len(events.records), events.truncated, events.next_cursor), (2, True, None))

    def test_a_surplus_of_a_server_that_ignores_the_window_cannot_be_continued(self) -> None:
        class Server:
            def fetch(self, _: Params) -> Page:
                time = "2026-08-01T13:00:00Z"
                return Page([{"eventID": f"{number:032x}", "dateCreated": time} for number in range(3)], "0:3:0")

        for cursor in ("before:2026-08-01T12:00:01Z", "0:3:0"):
            events = list_events(Server(), limit=2, cursor=cursor)
            self.assertEqual((len(events.records), events.truncated), (2, True))
            # By offset, the surplus is continued by time, as at any offset cursor.
            self.assertEqual(events.next_cursor is None, cursor.startswith("before"))

    def test_a_surplus_of_a_page_at_a_date_cursor_cannot_be_continued(self) -> None:
        class Server:
            def fetch(self, _: Params) -> Page:
                time = "2026-08-01T13:00:00Z"
                return Page([{"eventID": f"{n:032x}", "dateCreated": time} for n in range(3)], "1785585600000:0:0")

        self.assertIsNone(list_events(Server(), limit=2).next_cursor)

    def test_only_a_repeat_within_the_same_window_shows_that_an_event_was_skipped(self) -> None:
        def page(numbers: Iterable[int], cursor: str | None) -> Page:
            time = "2026-08-01T12:00:00Z"
            return Page([{"eventID": f"{number:04x}" * 8, "dateCreated": time} for number in numbers], cursor)

        first, window = range(100), (*range(100, 150), *range(50))
        for rest, warning in ((range(50, 100), None), (range(100, 150), "repeated")):
            pages = [page(first, "0:100:0"), page(window, "0:100:0"), page(rest, None)]

            class Server:
                def fetch(self, _: Params, pages: list[Page] = pages) -> Page:
                    return pages.pop(0)

            events = list_events(Server())
            self.assertEqual((len(events.records), pages), (150, []))
            self.assertEqual(events.truncated, warning is not None)
            self.assertIn(warning or "None", str(events.warning))


class TestSteps(unittest.TestCase):
    @settings(deadline=None)
    @given(
        seconds=st.lists(st.integers(0, 40), max_size=12),
        limits=st.lists(st.integers(1, 60), min_size=1, max_size=5),
        seed=st.integers(0, 1000),
    )
    def test_steps_that_continue_each_other_return_each_event_once(
        self, seconds: list[int], limits: list[int], seed: int
    ) -> None:
        server = OffsetServer(seconds, seed=seed)
        found: list[str] = []
        cursor: str | None = ""
        steps = 0
        while cursor is not None:
            limit = limits[steps % len(limits)]
            events = list_events(server, limit, cursor)
            self.assertLessEqual(len(events.records), limit)
            self.assertEqual(events.truncated, events.next_cursor is not None)
            found += ids_of(events)
            cursor = events.next_cursor
            steps += 1
            self.assertLess(steps, 500)
        self.assertCountEqual(found, server.ids)

    @settings(deadline=None, max_examples=30)
    @given(count=st.integers(100, 400), limit=st.integers(1, 150), seed=st.integers(0, 1000))
    def test_steps_through_one_second_come_to_an_end(self, count: int, limit: int, seed: int) -> None:
        server = OffsetServer([3, count, 3], seed=seed)
        found: list[str] = []
        cursor: str | None = ""
        steps = 0
        while cursor is not None:
            events = list_events(server, limit, cursor)
            found += ids_of(events)
            cursor = events.next_cursor
            steps += 1
            self.assertLess(steps, 1000)
        self.assertLessEqual(set(server.ids[:3] + server.ids[-3:]), set(found))


class TestText(unittest.TestCase):
    def test_the_text_of_a_position_is_parsed_back(self) -> None:
        for text in (
            "",
            "0:100:0",
            "1785585600000:0:1",
            "before:2026-08-01T12:00:01Z",
            "before:2026-08-01T12:00:01Z;known=9d6b1fb4c9f4,0123456789ab",
            "before:2026-08-01T12:00:01Z;known=9d6b1fb4c9f4;cursor=0:100:0",
        ):
            self.assertEqual(str(EventCursor.parse(text)), text)

    def test_a_time_that_does_not_exist_is_a_cursor_of_the_server(self) -> None:
        self.assertEqual(EventCursor.parse("before:2026-13-01T12:00:01Z").cursor, "before:2026-13-01T12:00:01Z")
