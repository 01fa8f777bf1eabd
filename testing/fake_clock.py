"""A clock for tests, which advances only by `sleep` and records each sleep."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """A clock that advances by its own `sleep` only.

    `slept` lists the seconds of each sleep.
    """

    def __init__(self) -> None:
        # The real time, since servers refuse events with an old timestamp.
        self.start = datetime.now(UTC)
        self.slept: list[float] = []
        self._total = 0.0

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return self._total

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._total += seconds
