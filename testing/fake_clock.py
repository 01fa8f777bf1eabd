"""A clock that passes only when somebody waits by it, and remembers for how long."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    def __init__(self) -> None:
        # Servers refuse events of long ago.
        self.start = datetime.now(UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
