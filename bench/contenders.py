"""What takes part in a row: each does the same work in its own way, and proves that it has done all of it."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import orjson

from bench import data, reading
from bench.measure import Sample
from bench.processes import HttpMode, Launcher, WarmFloor, encoded, post
from testing.checks import check
from testing.plugin import Json, action_message

# Of the bytes of the events has to arrive. Blanks and the like may be left out.
LEAST_SHARE = 0.9


@dataclass(frozen=True)
class Listing:
    """A list to read.

    :param records: how many there are
    """

    action: str
    params: Json
    key: str
    id_key: str
    path: str
    query: Json
    make: Callable[[int], Json]
    records: int

    def message(self, base: str) -> Json:
        return action_message(self.action, self.params, connection_to(base))

    def for_floor(self, base: str, authority: str = "", collects: bool = True) -> Json:
        address = {"url": base + self.path, "params": self.query, "authority": authority}
        return {**address, "id_key": self.id_key, "collects": collects}

    def check(self, body: Any) -> None:
        """:raises CheckFailed: the body of an answer is not the whole list"""
        check(body["status"] == "ok", f"{self.action} failed: {body['log'][-2000:]}")
        records = body["output"][self.key]
        self.check_counts(len(records), len({record[self.id_key] for record in records}))
        for place in (0, self.records - 1):
            made, told = self.make(place), records[place]
            check(told["title"] == made["title"] and told["metadata"] == made["metadata"], f"{told} is not {made}")

    def check_counts(self, records: int, different: int) -> None:
        check(records == different == self.records, f"{records} records of {self.records}, {different} different")


def connection_to(base: str) -> Json:
    return {"url": base, "token": {"token": data.TOKEN}}


def issues(records: int) -> Listing:
    return Listing(
        action="list_project_issues",
        params={"organization_slug": "acme", "project_slug": "pump-station", "statsPeriod": "24h"},
        key="issues",
        id_key="id",
        path="/api/0/projects/acme/pump-station/issues/",
        query={"query": "is:unresolved", "statsPeriod": "24h", "limit": 100},
        make=data.issue,
        records=records,
    )


def events(records: int) -> Listing:
    return Listing(
        action="list_issue_events",
        params={"issue_id": str(data.ISSUE), "full": True},
        key="events",
        id_key="eventID",
        path=f"/api/0/issues/{data.ISSUE}/events/",
        query={"full": 1, "per_page": 100},
        make=data.event,
        records=records,
    )


@dataclass(frozen=True)
class Run:
    """A process for one step.

    :param argv: what begins it
    :param message: what it reads
    :param check: raises CheckFailed where what it wrote is not the whole work
    """

    name: str
    records: int
    launcher: Launcher
    argv: tuple[str, ...]
    message: str
    check: Callable[[str], None]
    environment: tuple[tuple[str, str], ...] = ()

    def sample(self) -> Sample:
        took, written = self.launcher.run(self.argv, self.message, **dict(self.environment))
        self.check(written)
        return Sample(took["wall"], took["cpu"], took["peak"])


def plugin_run(name: str, launcher: Launcher, argv: tuple[str, ...], listing: Listing, base: str) -> Run:
    """A step of a plugin's `run`, whose last line is the answer."""

    def check(written: str) -> None:
        listing.check(orjson.loads(written.rstrip().rpartition("\n")[2])["body"])

    return Run(name, listing.records, launcher, (*argv, "run"), json.dumps(listing.message(base)), check)


def floor_run(name: str, launcher: Launcher, argv: tuple[str, ...], listing: Listing, base: str) -> Run:
    def check(written: str) -> None:
        told = json.loads(written)
        listing.check_counts(told["records"], told["different"])

    return Run(name, listing.records, launcher, (*argv, json.dumps(listing.for_floor(base))), "", check)


@dataclass(frozen=True)
class Floor:
    """The listing in a process that is warm, which measures itself.

    :param collects: whether its garbage collector is at work
    """

    name: str
    floor: WarmFloor
    listing: Listing
    base: str
    authority: str = ""
    collects: bool = True

    @property
    def records(self) -> int:
        return self.listing.records

    def sample(self) -> Sample:
        told = self.floor.ask(self.listing.for_floor(self.base, self.authority, self.collects))
        self.listing.check_counts(told["records"], told["different"])
        return Sample(told["wall"], told["cpu"], told["peak"])


@dataclass
class Http:
    """The listing in a plugin's HTTP mode, from the request to the last byte of the answer.

    :param message: asks for it
    :param start: what the process holds before the first step, in KiB
    """

    name: str
    mode: HttpMode
    listing: Listing
    message: Json
    start: int = 0
    answer: bytes = b""

    @property
    def records(self) -> int:
        return self.listing.records

    def sample(self) -> Sample:
        worker = self.mode.worker
        self.start = self.start or reading.resident(worker)
        reading.reset_peak(worker)
        message, began, started = encoded(self.message), reading.cpu(worker), time.perf_counter()
        connection = self.mode.connect()
        self.answer = post(connection, self.message["body"]["action"], message)
        wall = time.perf_counter() - started
        connection.close()
        sample = Sample(wall, reading.cpu(worker) - began, reading.peak(worker), self.start)
        self.listing.check(orjson.loads(self.answer)["body"])
        return sample


@dataclass(frozen=True)
class Submit:
    """Events submitted through a plugin's HTTP mode.

    :param base: of the server
    """

    name: str
    mode: HttpMode
    base: str
    events: Sequence[Json]
    callers: int
    records: int = 0

    def sample(self) -> Sample:
        worker = self.mode.worker
        messages = [encoded(self._message(event)) for event in self.events]
        reading.reset_peak(worker)
        began, started = reading.cpu(worker), time.perf_counter()
        with ThreadPoolExecutor(self.callers) as pool:
            answers = list(pool.map(self._submit, [messages[first :: self.callers] for first in range(self.callers)]))
        wall = time.perf_counter() - started
        least = LEAST_SHARE * sum(len(orjson.dumps(event)) for event in self.events)
        sample = Sample(wall, reading.cpu(worker) - began, reading.peak(worker), steps=len(messages), sent=least)
        self._check([orjson.loads(answer)["body"] for share in answers for answer in share])
        return sample

    def _message(self, event: Json) -> Json:
        dsn = f"{self.base.replace('://', f'://{data.PUBLIC_KEY}@')}/{data.PROJECT}"
        return action_message("submit_event", {"dsn": dsn, "event_json": event}, connection_to(self.base))

    def _submit(self, messages: Sequence[bytes]) -> list[bytes]:
        connection = self.mode.connect()
        answers = [post(connection, "submit_event", message) for message in messages]
        connection.close()
        return answers

    def _check(self, bodies: list[Json]) -> None:
        failed = [body["log"] for body in bodies if body["status"] != "ok"]
        check(not failed, f"{len(failed)} events failed: {failed[:1]}")
        different = {body["output"]["id"] for body in bodies}
        check(len(different) == len(self.events), f"{len(different)} IDs for {len(self.events)} events")
