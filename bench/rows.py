"""Measure the rows of the table. In each round every contender does the same work, and its result is checked."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context
from statistics import median
from typing import Any, NamedTuple

import orjson

from bench import data, floor
from bench.processes import Command, HttpMode, Sample, Server, run_step
from testing.checks import check
from testing.plugin import Json, action_message

PAGE = 100
CALLERS = 8
FOUR = 4
LATENCY = 0.05
ISSUES = 10_000
EVENTS = SUBMITTED = DISTANT_ISSUES = 2_000
# An event takes the usual way twenty times as long, and is compared by the event.
NAIVE_SUBMITTED = 100
# The contenders. The large one is the plugin with four times the work.
PLUGIN, FLOOR, NAIVE, LARGE = "plugin", "floor", "naive", "large"


Results = dict[str, list[Sample]]


class Row(NamedTuple):
    """What the contenders took, by round. The target is a maximum of the first contender to the second."""

    name: str
    target: float
    results: Results
    is_memory: bool = False
    contenders: tuple[str, ...] = (PLUGIN, FLOOR, NAIVE)


class Listing(NamedTuple):
    """A list to read: the action and message for a plugin, the key of its output, and the URL of the first page."""

    records: int
    action: str
    message: bytes
    key: str
    url: str


def issues(base: str, records: int) -> Listing:
    project, action = f"pump-station-{records}", "list_project_issues"
    url = f"{base}/api/0/projects/acme/{project}/issues/?query=is%3Aunresolved&statsPeriod=24h&limit={PAGE}"
    params = {"organization_slug": "acme", "project_slug": project, "statsPeriod": "24h"}
    return Listing(records, action, message(action, params, base), "issues", url)


def events(base: str, records: int) -> Listing:
    action, url = "list_issue_events", f"{base}/api/0/issues/{records}/events/?full=1&per_page={PAGE}"
    return Listing(records, action, message(action, {"issue_id": str(records), "full": True}, base), "events", url)


def message(action: str, params: Json, base: str) -> bytes:
    return orjson.dumps(action_message(action, params, {"url": base, "token": {"token": data.TOKEN}}))


class Bench:
    """The rows, measured with a running server.

    :param divisor: of all sizes; one round is measured if it is not 1
    """

    def __init__(self, server: Server, commands: dict[str, Command], divisor: int) -> None:
        self._server = server
        self._commands = commands
        self._divisor = divisor
        self._rounds = 3 if divisor == 1 else 1
        self._fingerprints: dict[tuple[str, int], floor.Fingerprint] = {}

    def rows(self) -> Iterator[Row]:
        server, sizes = self._server, [full // self._divisor for full in (ISSUES, EVENTS, DISTANT_ISSUES, SUBMITTED)]
        yield from self._run_rows(*sizes[:2])
        yield Row(f"{sizes[0]:,} issues, HTTP mode", 2.0, self._http_lists(issues, server.base, sizes[0]))
        yield Row(f"{sizes[1]:,} full events of 40 KB, HTTP mode", 2.0, self._http_lists(events, server.base, sizes[1]))
        results = self._http_lists(issues, server.distant, sizes[2], server.authority)
        yield Row(f"{sizes[2]:,} issues, {1000 * LATENCY:.0f} ms per response, TLS, HTTP mode", 1.2, results)
        results = self._submissions(sizes[3], NAIVE_SUBMITTED // self._divisor)
        yield Row(f"{sizes[3]:,} events submitted by {CALLERS} callers, HTTP mode, per event", 1.5, results)

    def _run_rows(self, size: int, full_events: int) -> Iterator[Row]:
        """The rows of `run`: the start, a large list, and the memory and growth of lists beyond the start."""
        base = self._server.base
        start = {name: partial(self._run, name, issues(base, 1)) for name in (PLUGIN, FLOOR, NAIVE)}
        # The first round compiles the modules, which are compiled in the image.
        measure(start, 1)
        cold = measure(start, 5 * self._rounds)
        yield Row("Cold start, a list of one issue, `run`", 1.15, cold)
        lists = {name: partial(self._run, name, issues(base, size)) for name in start}
        results = measure(lists | {LARGE: partial(self._run, PLUGIN, issues(base, FOUR * size))}, self._rounds)
        yield Row(f"{size:,} issues, `run`", 1.15, results)
        # Beyond the start of the floor, so that the modules of the plugin count.
        yield Row(f"Memory of {size:,} issues, `run`, beyond the start", 1.3, beyond(results, cold[FLOOR]), True)
        yield from growth(f"{FOUR * size:,} issues to {size:,}", beyond(results, cold[PLUGIN]))
        sizes = {PLUGIN: full_events // FOUR, LARGE: full_events}
        growing = {name: partial(self._run, PLUGIN, events(base, sizes[name])) for name in sizes}
        results = measure(growing, self._rounds)
        yield from growth(f"{sizes[LARGE]:,} full events to {sizes[PLUGIN]:,}", beyond(results, cold[PLUGIN]))

    def _http_lists(self, make: Callable[[str, int], Listing], base: str, size: int, authority: str = "") -> Results:
        context, listing, short = get_context("spawn"), make(base, size), make(base, 1)
        with self._started(PLUGIN, NAIVE, authority=authority) as modes, ProcessPoolExecutor(1, context) as pool:
            contenders = {mode: partial(self._http, modes[mode]) for mode in modes}
            contenders[FLOOR] = partial(self._fetch, pool, authority)
            measure({name: partial(contender, short) for name, contender in contenders.items()}, 1)
            full = {name: partial(contender, listing) for name, contender in contenders.items()}
            return measure(full, self._rounds)

    def _submissions(self, size: int, naive_size: int) -> Results:
        made = [data.outgoing_event(number) for number in range(size)]
        share = {PLUGIN: made, FLOOR: made, NAIVE: made[:naive_size]}
        with self._started(*share, threads=CALLERS) as modes:
            measure({name: partial(self._submit, modes[name], made[:CALLERS]) for name in share}, 1)
            contenders = {name: partial(self._submit, modes[name], share[name]) for name in share}
            return measure(contenders, self._rounds)

    def _run(self, command: str, listing: Listing) -> Sample:
        sample, output = run_step(self._commands[command], listing.message)
        self._verify(listing, floor.fingerprint(output[listing.key]))
        return sample

    def _http(self, mode: HttpMode, listing: Listing) -> Sample:
        began = mode.cpu()
        seconds, (output,) = mode.run_steps(listing.action, [listing.message])
        cpu = mode.cpu() - began
        self._verify(listing, floor.fingerprint(output[listing.key]))
        return Sample(seconds, cpu)

    def _fetch(self, pool: ProcessPoolExecutor, authority: str, listing: Listing) -> Sample:
        seconds, cpu, fingerprint = pool.submit(floor.measure, listing.url, authority).result()
        self._verify(listing, fingerprint)
        return Sample(seconds, cpu)

    def _verify(self, listing: Listing, fingerprint: floor.Fingerprint) -> None:
        """Check that a list is complete, took no needless request, and is the same as that of every other contender."""
        found, wanted = (fingerprint[0], self._server.counts()[0]), (listing.records, -(-listing.records // PAGE))
        check(found == wanted, f"{listing.key}: {found} (records, requests) instead of {wanted}")
        known = self._fingerprints.setdefault((listing.key, listing.records), fingerprint)
        check(known == fingerprint, f"the {listing.records} {listing.key} differ from those of another contender")

    def _submit(self, mode: HttpMode, made: list[Json]) -> Sample:
        base = self._server.base
        dsn = f"{base.replace('://', f'://{data.PUBLIC_KEY}@')}/7"
        messages = [message("submit_event", {"dsn": dsn, "event_json": event}, base) for event in made]
        started, began = time.perf_counter(), mode.cpu()
        with ThreadPoolExecutor(CALLERS) as callers:
            shares = [messages[first::CALLERS] for first in range(CALLERS)]
            results = list(callers.map(partial(mode.run_steps, "submit_event"), shares))
        seconds, cpu = time.perf_counter() - started, mode.cpu() - began
        identities = {output["id"] for _, outputs in results for output in outputs}
        requests, received = self._server.counts()
        check(
            len(identities) == requests == len(made), f"{requests} requests and {len(identities)} IDs for {len(made)}"
        )
        # JSON may be written without blanks, but not without content.
        check(received > 0.9 * sum(len(orjson.dumps(event)) for event in made), f"only {received} bytes were sent")
        return Sample(seconds / len(made), cpu / len(made))

    @contextmanager
    def _started(self, *names: str, **options: Any) -> Iterator[dict[str, HttpMode]]:
        """Plugins in HTTP mode, started in parallel."""
        modes = {name: HttpMode(self._commands[name], **options) for name in names}
        with ExitStack() as stack:
            yield {name: stack.enter_context(mode) for name, mode in modes.items()}


def measure(contenders: Mapping[str, Callable[[], Sample]], rounds: int) -> Results:
    """Measure the contenders in turn. Each round begins with another one, so that a busy moment affects all alike."""
    results: Results = {name: [] for name in contenders}
    order = list(contenders)
    for number in range(rounds):
        first = number % len(order)
        for name in order[first:] + order[:first]:
            results[name].append(contenders[name]())
    return results


def beyond(results: Results, start: list[Sample]) -> Results:
    """Subtract the medians of a start."""
    medians = list(map(median, zip(*start, strict=True)))
    return {
        name: [Sample(*(taken - value for taken, value in zip(sample, medians, strict=True))) for sample in samples]
        for name, samples in results.items()
    }


def growth(name: str, results: Results) -> Iterator[Row]:
    yield Row(f"Time of {name}, `run`", 4.2, results, contenders=(LARGE, PLUGIN))
    yield Row(f"Memory of {name}, `run`", 4.2, results, is_memory=True, contenders=(LARGE, PLUGIN))
