"""The rows of the table. Each starts what it measures, so that none has the memory of the row before."""

import compileall
import statistics
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import trustme

from bench import data, processes
from bench.contenders import Floor, Http, Listing, Run, Submit, connection_to, events, floor_run, issues, plugin_run
from bench.lines import FLOOR, NAIVE, PLUGIN, Line, Target, compared
from bench.measure import Results, Sample, measure, median, ratio, seconds
from bench.processes import HttpMode, Launcher, Server, WarmFloor
from testing.plugin import ROOT, action_message

FLOOR_RUN = (sys.executable, "-c", "from bench.floor import run; run()")
SENTRY_CLI = Path(sysconfig.get_path("scripts"), "sentry-cli")
BOTH = (PLUGIN, NAIVE)
RUNTIME_ALONE = "the runtime alone"
UNCOLLECTED = "floor without gc"
LATENCY = 0.05
CALLERS = 8
LARGE = 905_000  # which makes an event of some 900 KB
FOUR = 4
MOST_GROWTH = 4.2
# What a process takes beyond its start is lost in the differences between starts where it is less.
LEAST_OF_START = 0.4


@dataclass(frozen=True)
class Scale:
    """How much is done.

    :param run_growth_rounds: of the growth in `run`, whose time cannot be told in the short form
    :param naive_submitted: by the naive way, which takes twenty times as long for one and is compared by the event
    :param growth_events: a quarter of `events`, since with four times as many nothing would be left of ten minutes
    """

    cold_rounds: int = 15
    rounds: int = 3
    growth_rounds: int = 5
    run_growth_rounds: int = 5
    issues: int = 10_000
    events: int = 2_000
    submitted: int = 2_000
    naive_submitted: int = 100
    large: int = 10
    distant_issues: int = 2_000
    growth_events: int = 500


FULL = Scale()
QUICK = Scale(
    cold_rounds=3,
    growth_rounds=2,
    run_growth_rounds=1,
    issues=1_000,
    events=200,
    submitted=200,
    naive_submitted=10,
    large=2,
    distant_issues=200,
    growth_events=48,
)


@dataclass
class Bench:
    """What all rows share.

    :param options: of the server
    :param cold, listed: what came of the rows of `run`, for that of its memory
    """

    scale: Scale
    server: Server
    launcher: Launcher
    floor: WarmFloor
    options: tuple[str, ...]
    cold: Results = field(default_factory=dict)
    listed: Results = field(default_factory=dict)

    def rows(self) -> Iterator[list[Line]]:
        warm_up(self.server, Floor(FLOOR, self.floor, issues(1), self.server.base))
        yield self.cold_start()
        yield self.http_listing(issues(self.scale.issues), f"2: {self.scale.issues:,} issues, HTTP mode")
        yield self.run_listing()
        yield self.http_listing(events(self.scale.events), f"3: {self.scale.events:,} full events, HTTP mode")
        yield from self.submit()
        yield self.distant()
        yield self.memory()
        quarter, four = self.scale.issues // FOUR, self.scale.issues * FOUR
        sizes = (quarter, self.scale.issues, four)
        yield self.http_growth([issues(size) for size in sizes], "7: growth, issues, HTTP mode")
        yield self.run_growth([issues(size) for size in sizes], "7: growth, issues, run")
        size = self.scale.growth_events
        listings = [events(size) for size in (size // FOUR, size, size * FOUR)]
        yield self.http_growth(listings, "7: growth, full events, HTTP mode")

    def cold_start(self) -> list[Line]:
        contenders = (*self._runs(issues(1)), self._sentry_cli())
        # Modules that are compiled are not what is to be measured; in the image they are compiled already.
        for package in ("komand_sentry", "bench"):
            compileall.compile_dir(ROOT / package, quiet=1)
        self.cold = measure(self.server, contenders, self.scale.cold_rounds)
        return compared("1: cold start, one issue, run", self.cold, 1.15, 1.0)

    def run_listing(self) -> list[Line]:
        self.listed = measure(self.server, self._runs(issues(self.scale.issues)), self.scale.rounds)
        return compared(f"2: {self.scale.issues:,} issues, run", self.listed, 2.5, 2.0)

    def http_listing(self, listing: Listing, row: str) -> list[Line]:
        """The plugin and the naive way beside the floor; and what the runtime takes for the plugin's very answer."""
        floor = Floor(FLOOR, self.floor, listing, self.server.base)
        uncollected = replace(floor, name=UNCOLLECTED, collects=False)
        with self._modes(listing, self.server) as modes:
            results = measure(self.server, (floor, *modes, uncollected), self.scale.rounds)
        return compared(row, results, 1.6, 2.5)

    def submit(self) -> Iterator[list[Line]]:
        """Beside a plugin on the same runtime that does nothing but post; and a few events that are large."""
        scale = self.scale
        made = [data.outgoing_event(number) for number in range(scale.submitted)]
        large = [data.outgoing_event(number, LARGE) for number in range(scale.large)]
        with started(processes.BARE, processes.PLUGIN, processes.NAIVE, threads=CALLERS) as modes:
            for mode in modes:
                Submit("warm-up", mode, self.server.base, made[:CALLERS], CALLERS).sample()
            results = self._submitted(modes, (made, made, made[: scale.naive_submitted]), CALLERS)
            row = f"4: submit {len(made):,} events (naive: {scale.naive_submitted}), {CALLERS} callers, HTTP mode"
            yield compared(row, results, 1.5, 1.5)
            results = self._submitted(modes, (large, large, large), 1)
        size = round(len(orjson.dumps(large[0])) / 1000)
        yield compared(f"4: submit {len(large)} events of {size} KB, HTTP mode", results)

    def distant(self) -> list[Line]:
        """The listing from a server that takes a while, with TLS."""
        listing = issues(self.scale.distant_issues)
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            authority, certificate = certified(Path(folder))
            options = ("--issues", str(listing.records), "--latency", str(LATENCY), "--tls", certificate)
            server = stack.enter_context(Server(*options, *self.options))
            modes = stack.enter_context(self._modes(listing, server, authority))
            floor = Floor(FLOOR, self.floor, listing, server.base, authority)
            results = measure(server, (floor, *modes), self.scale.rounds)
        row = f"5: {listing.records:,} issues, {LATENCY * 1000:.0f} ms a response, TLS, HTTP mode"
        return compared(row, results, 1.1, 1.2)

    def memory(self) -> list[Line]:
        """What a run needs beyond the start of the runtime, beside the list itself: what the floor needs beyond it."""
        row = f"6: memory of {self.scale.issues:,} issues, run, beyond the start"
        start = median(self.cold[FLOOR]).peak
        above = {name: [sample.peak - start for sample in samples] for name, samples in self.listed.items()}
        lines = []
        for name, peaks in above.items():
            to_list, to_naive = ratio(peaks, above[FLOOR]), ratio(above[NAIVE], peaks)
            targets = (Target(FLOOR, to_list, 2.0), Target(NAIVE, to_naive, 1.0, is_most=False))
            shown = Sample(0.0, 0.0, statistics.median(peaks))
            lines.append(Line(row, name, shown, to_list, to_naive, targets if name == PLUGIN else ()))
        return lines

    def run_growth(self, listings: Sequence[Listing], row: str) -> list[Line]:
        """Beyond the start of the plugin, which is that of a list of one issue."""
        sizes = [1, *(listing.records for listing in listings)]
        made = [replace(listings[0], records=size) for size in sizes]
        argv, base = processes.PLUGIN, self.server.base
        runs = [plugin_run(str(one.records), self.launcher, argv, one, base) for one in made]
        results = measure(self.server, runs, self.scale.run_growth_rounds)
        start = median(results.pop("1"))
        above = {name: [beyond(one, start) for one in results[name]] for name in results}
        return grown(row, above, results, least=start.wall * LEAST_OF_START)

    def http_growth(self, listings: Sequence[Listing], row: str) -> list[Line]:
        """Each size in a process of its own. Its memory is that of the first time: later ones find what that left."""
        with started(*[processes.PLUGIN] * len(listings)) as modes:
            contenders = [
                Http(str(listing.records), mode, listing, listing.message(self.server.base))
                for listing, mode in zip(listings, modes, strict=True)
            ]
            warm_up(self.server, *contenders)
            results = measure(self.server, contenders, self.scale.growth_rounds)
        first = {name: samples[0].peak - samples[0].start for name, samples in results.items()}
        above = {name: [replace(one, peak=first[name]) for one in samples] for name, samples in results.items()}
        return grown(row, above, results)

    def _runs(self, listing: Listing) -> tuple[Run, ...]:
        base = self.server.base
        return (
            floor_run(FLOOR, self.launcher, FLOOR_RUN, listing, base),
            plugin_run(PLUGIN, self.launcher, processes.PLUGIN, listing, base),
            plugin_run(NAIVE, self.launcher, processes.NAIVE, listing, base),
        )

    def _sentry_cli(self) -> Run:
        """Sentry's own command line, which lists 500 issues at most."""
        short_id = data.issue(0)["shortId"]

        def check(written: str) -> None:
            check(short_id in written, f"sentry-cli does not list {short_id}: {written}")

        argv = (str(SENTRY_CLI), "issues", "list", "--org", "acme", "--project", "pump-station")
        environment = {"SENTRY_URL": self.server.base, "SENTRY_AUTH_TOKEN": data.TOKEN}
        environment |= {"SENTRY_DISABLE_UPDATE_CHECK": "true"}
        return Run("sentry-cli", 1, self.launcher, argv, "", check, tuple(environment.items()))

    def _submitted(self, modes: Sequence[HttpMode], events: Sequence[Sequence[data.Json]], callers: int) -> Results:
        taking_part = zip((FLOOR, PLUGIN, NAIVE), modes, events, strict=True)
        contenders = [Submit(name, mode, self.server.base, share, callers) for name, mode, share in taking_part]
        return measure(self.server, contenders, self.scale.rounds)

    @contextmanager
    def _modes(self, listing: Listing, server: Server, authority: str = "") -> Iterator[list[Http]]:
        """HTTP modes that are warm: the plugin, the naive way, and the runtime alone with the plugin's very answer.

        :param authority: the file of those whose certificates to trust, "" for the usual ones
        """
        argvs = (processes.PLUGIN, processes.NAIVE, processes.BARE)
        with tempfile.TemporaryDirectory() as folder, started(*argvs, REQUESTS_CA_BUNDLE=authority) as modes:
            memory = Path(folder, "output.json")
            recall = action_message("recall", {"path": str(memory)}, connection_to(server.base))
            message = listing.message(server.base)
            plugin, naive = (Http(name, mode, listing, message) for name, mode in zip(BOTH, modes[:2], strict=True))
            bare = Http(RUNTIME_ALONE, modes[-1], listing, recall)
            warm_up(server, plugin, naive)
            remember(server, plugin, memory)
            bare.sample()
            yield [plugin, naive, bare]


def warm_up(server: Server, *contenders: Http | Floor) -> None:
    """A list of one record, after which the process is as it is between two steps."""
    for contender in contenders:
        server.reset(1)
        replace(contender, listing=replace(contender.listing, records=1)).sample()


def remember(server: Server, contender: Http, path: Path) -> None:
    """The output of a step, which is not measured."""
    server.reset(contender.records)
    contender.sample()
    path.write_bytes(orjson.dumps(orjson.loads(contender.answer)["body"]["output"]))
    contender.answer = b""


def beyond(sample: Sample, start: Sample) -> Sample:
    return replace(sample, wall=sample.wall - start.wall, peak=sample.peak - start.peak)


def grown(row: str, above: Results, results: Results, least: float = 0.0) -> list[Line]:
    """A line for each size, with what it takes of what the size before took.

    :param above: what was taken beyond the start
    :param least: the shortest time beyond the start that says anything
    """
    lines: list[Line] = []
    before: list[Sample] = []
    for name, samples in above.items():
        targets: tuple[Target, ...] = ()
        if before:
            memory = ratio([one.peak for one in samples], [one.peak for one in before])
            targets = (Target("memory", memory, MOST_GROWTH),)
            if min(seconds(before)) > least:
                targets = (Target("time", ratio(seconds(samples), seconds(before)), MOST_GROWTH), *targets)
        before = samples
        lines.append(Line(row, f"{PLUGIN}, {int(name):,}", median(results[name]), targets=targets))
    return lines


@contextmanager
def started(*argvs: Sequence[str], threads: int = 4, **environment: str) -> Iterator[list[HttpMode]]:
    """Plugins in HTTP mode, which start side by side."""
    modes = [HttpMode(argv, threads, **environment) for argv in argvs]
    with ExitStack() as stack:
        for mode in modes:
            stack.callback(mode.close)
        for mode in modes:
            mode.__enter__()
        yield modes


def certified(folder: Path) -> tuple[str, str]:
    """The files of an authority, and of a key and certificate for this machine."""
    authority = trustme.CA()
    trusted, own = folder / "authority.pem", folder / "certificate.pem"
    authority.cert_pem.write_to_path(str(trusted))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(own))
    return str(trusted), str(own)
