"""Triggers as processes that send to a sink by HTTPS, started with the messages of tests/."""

import json
import tempfile
import time
from pathlib import Path

import requests

from testing.plugin import ENVIRONMENT, SAMPLES, Json
from testing.sink import REJECTIONS, Sink
from testing.support import SandboxTestCase, connection_params, validate
from testing.trigger_process import TriggerProcess
from unit_test.trigger_case import TRIGGERS

WAIT_SECONDS = 20
# A trigger that is stopped before it has read the response to a message sends the message again.
RESPONSE_SECONDS = 0.5


def title_of(output: Json) -> str:
    title: str = (output.get("issue") or output["event"])["title"]
    return title


class TestTriggerProcess(SandboxTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.sink = self.enterContext(Sink(tls=True))

    def start(self, name: str) -> TriggerProcess:
        """Start a trigger with the inputs of its message in tests/."""
        body: Json = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))["body"]
        connection = connection_params(self.sandbox)
        environment = {**ENVIRONMENT, "SSL_CERT_FILE": str(self.sink.ca_bundle)}
        process = TriggerProcess(
            name, body["input"], connection, self.sink.url, self.folder, trigger_id=name, environment=environment
        )
        return self.enterContext(process)

    def wait_for(self, title: str, process: TriggerProcess) -> None:
        is_sent = self.sink.wait_for(lambda outputs: title in map(title_of, outputs), WAIT_SECONDS)
        self.assertTrue(is_sent, process.log)

    def check_trigger(self, name: str) -> None:
        """Check that a trigger sends what exists, and after a restart only what is new."""
        for title in (f"{name} before", f"{name} after"):
            self.submit({"message": title})
            process = self.start(name)
            self.wait_for(title, process)
            time.sleep(RESPONSE_SECONDS)
            self.assertEqual(process.terminate(), 0, process.log)
        titles = [title_of(output) for output in self.sink.outputs]
        self.assertEqual(len(titles), len(set(titles)))
        for delivery in self.sink.deliveries:
            validate(delivery.output, TRIGGERS[name]().output.schema)
            body = delivery.message["body"]
            self.assertEqual((body.keys(), body["meta"]), ({"meta", "output", "log"}, {"triggerId": name}))

    def test_new_issue(self) -> None:
        self.check_trigger("new_issue")

    def test_new_event(self) -> None:
        self.check_trigger("new_event")

    def test_a_sink_rejects_messages_in_each_way(self) -> None:
        with Sink(reject=0.5) as sink:
            statuses = [self.post(sink, number) for number in range(40)]
        self.assertEqual(statuses, [delivery.status for delivery in sink.deliveries])
        self.assertEqual({*REJECTIONS, 200}, set(statuses))
        self.assertEqual(len(sink.outputs), statuses.count(200))

    def post(self, sink: Sink, number: int) -> int | None:
        try:
            return requests.post(sink.url, json={"body": {"output": number}}, timeout=5).status_code
        except requests.ConnectionError:
            return None
