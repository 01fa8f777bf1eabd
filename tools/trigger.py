"""Run a trigger against a sandbox until it sends a record."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sandbox import Sandbox
from testing.plugin import TRIGGERS, Json, trigger_sample
from testing.sink import Sink
from testing.trigger_process import TriggerProcess

MAX_SECONDS = 30


class TriggerRun(NamedTuple):
    """What a trigger did.

    :param message: the first that it sent
    :param log: all that it printed
    """

    message: Json
    log: str


def trigger_samples(env: Mapping[str, str]) -> dict[str, Json]:
    """The messages of tests/ that start triggers, for a server, without a dispatcher."""
    return {name: trigger_sample(name, env, "") for name in TRIGGERS}


def run_trigger(sandbox: Sandbox, name: str, params: Json) -> TriggerRun:
    """Start a trigger, and end it after its first message.

    :param params: its inputs. With a lookback, it finds the records that exist
    :raises AssertionError: it sends nothing within MAX_SECONDS, or does not end
    """
    connection = {"token": {"token": sandbox.env["TOKEN"]}, "url": sandbox.base}
    with (
        Sink() as sink,
        tempfile.TemporaryDirectory() as folder,
        TriggerProcess(name, params, connection, sink.url, Path(folder), interval=params["interval"]) as trigger,
    ):
        if not sink.wait_for(bool, MAX_SECONDS):
            raise AssertionError(f"the trigger sent nothing:\n{trigger.log}")
        if trigger.terminate() != 0:
            raise AssertionError(f"the trigger failed:\n{trigger.log}")
        return TriggerRun(sink.deliveries[0].message, trigger.log)
