"""The base class of the triggers: parses the inputs, keeps the state, and sends the messages."""

import hashlib
import json
import logging
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, Protocol, cast

import insightconnect_plugin_runtime
import insightconnect_plugin_runtime.trigger as runtime
from insightconnect_plugin_runtime.dispatcher import Http
from insightconnect_plugin_runtime.helper import safeguard_and_return_file_path

from komand_sentry.util.errors.factory import invalid_input
from komand_sentry.util.errors.redaction import RedactingLogger
from komand_sentry.util.sentry.client import SentryClient
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.step import Inputs, StepInput, StepOutput, build_output, parse_inputs
from komand_sentry.util.trigger import loop
from komand_sentry.util.trigger.checkpoint import Checkpoint, InvalidState
from komand_sentry.util.trigger.clocks import ServerClock, StoppableClock
from komand_sentry.util.trigger.dispatcher import ConfirmingHttp
from komand_sentry.util.trigger.loop import PollLoop
from komand_sentry.util.trigger.source import Source
from komand_sentry.util.trigger.state_file import read_state, write_state

STATE_VERSION = 1
# The runtime keeps the log in memory until the next message.
MAX_LOG_CHARACTERS = 64 * 1024
# Changing these inputs keeps the state. Other `events` start their own list, see ChangedIssues.name.
_SCHEDULE = ("interval", "lookback", "events")


class _Connection(Protocol):
    client: SentryClient
    meta: Any


class _QuietLogger:
    """The logger of a client that polls for days. What is normal is not logged: it would fill the log."""

    def __init__(self, logger: Any) -> None:
        self.warning = logger.warning

    def info(self, text: str) -> None:
        """Log nothing."""


class SentryTrigger(insightconnect_plugin_runtime.Trigger):
    """A trigger whose inputs and output follow its generated schemas. It implements `sources`."""

    connection: _Connection
    dispatcher: Any

    def __init__(self, name: str, description: str, input: Any, output: Any) -> None:
        super().__init__(
            name=name, description=description, input=StepInput(input.schema), output=StepOutput(output.schema)
        )

    def sources(self, client: SentryClient, params: Inputs) -> tuple[Source, ...]:
        """The lists to watch.

        :raises PluginException: an input is invalid
        """
        raise NotImplementedError

    def run(self, params: Any = None) -> None:
        """Poll and send messages until the trigger is stopped.

        :raises PluginException: an input is invalid
        """
        inputs = parse_inputs(params, self.input.schema)
        interval = _check_seconds("interval", inputs.get("interval", 60), loop.MIN_INTERVAL, loop.MAX_INTERVAL)
        lookback = _check_seconds("lookback", inputs.get("lookback", 0), 0, loop.MAX_LOOKBACK)
        clock = StoppableClock(self.connection.client.clock, self)
        logger = cast(logging.Logger, _QuietLogger(self.logger))
        client = replace(self.connection.client, clock=clock, logger=logger)
        sources = self.sources(client, inputs)
        if isinstance(self.dispatcher, Http):
            self.dispatcher = ConfirmingHttp.replacing(self.dispatcher, clock)
        self._check_state(client, inputs, {source.name for source in sources})
        log = RedactingLogger(self.logger, (client.token,))
        PollLoop(self, sources, interval, lookback, ServerClock(client.server_time, clock), clock, log).run()

    def send_output(self, output: Record) -> None:
        """See Host."""
        self.send(build_output(output, self.output.schema))

    def load_state(self) -> None:
        """Load the state of an earlier run. The runtime calls it first, and its own method fails for a damaged file."""
        self.state = {}
        self.state_file = ""
        trigger_id = self.connection.meta.workflow.triggerId
        if not trigger_id:
            self.logger.warning("The message has no triggerId, so no state is stored: a restart begins from now.")
            return
        folder = runtime.CACHE_DIR
        try:
            self.state_file = safeguard_and_return_file_path(folder, Path(folder).joinpath(f"{trigger_id}.json"))
            self.state = read_state(Path(self.state_file))
        except (OSError, ValueError) as problem:
            # A JSON error quotes nothing of the file.
            self._start_without_state(str(problem))

    def _save_state(self) -> None:
        """Store the state. The runtime's method leaves an empty file if the process is killed while it writes."""
        if self.state_file:
            write_state(Path(self.state_file), self.state)

    def load_checkpoint(self, name: str) -> Checkpoint | None:
        """See Host."""
        stored = self.state.get("checkpoints", {}).get(name)
        return None if stored is None else Checkpoint.parse(stored)

    def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        """See Host."""
        checkpoints = {**self.state.get("checkpoints", {}), name: checkpoint.as_json()}
        # The runtime's copies of a trigger share the dictionary, so it is replaced.
        self.state = {**self.state, "checkpoints": checkpoints}
        self._save_state()

    def end_poll(self) -> None:
        """See Host. Without messages, the log would grow for as long as the trigger runs."""
        stream: StringIO | None = self.log_stream
        if stream is not None and stream.tell() > MAX_LOG_CHARACTERS:
            text = stream.getvalue()[-MAX_LOG_CHARACTERS // 2 :]
            stream.seek(0)
            stream.truncate()
            stream.write(text)

    def _check_state(self, client: SentryClient, inputs: Inputs, names: set[str]) -> None:
        """Keep the loaded state only if this version can read it, and if it is of the same records.

        :param names: of the lists that the trigger watches. A list that it stopped watching starts from then again
        """
        selected = {name: value for name, value in inputs.items() if name not in _SCHEDULE}
        text = json.dumps([self.name, client.server.base, selected], sort_keys=True)
        expected = {"version": STATE_VERSION, "inputs": hashlib.sha256(text.encode()).hexdigest()}
        loaded, self.state = self.state, expected
        if not loaded:
            return
        if loaded.get("version") != STATE_VERSION:
            self._start_without_state("it is from another version of the plugin")
        elif loaded.get("inputs") != expected["inputs"]:
            self._start_without_state("the connection or the inputs of the trigger changed")
        else:
            try:
                for checkpoint in loaded.get("checkpoints", {}).values():
                    Checkpoint.parse(checkpoint)
            except (InvalidState, AttributeError) as problem:
                self._start_without_state(f"it is damaged ({problem})")
            else:
                checkpoints = {name: item for name, item in loaded.get("checkpoints", {}).items() if name in names}
                self.state = {**expected, "checkpoints": checkpoints}

    def _start_without_state(self, problem: str) -> None:
        self.logger.warning(
            f"The state of the earlier run is not used: {problem}. The trigger starts as if for the first time, so it "
            "does not send what appeared since its last poll, unless lookback is set."
        )


def _check_seconds(name: str, seconds: int, minimum: int, maximum: int) -> int:
    if not minimum <= seconds <= maximum:
        raise invalid_input(
            f"The {name} is out of range: {seconds} seconds.", f"Set it from {minimum} to {maximum} seconds."
        )
    return seconds
