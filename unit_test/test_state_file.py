"""The state file of a trigger survives a kill at any time, and damage to it is detected."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from komand_sentry.util.trigger import state_file
from komand_sentry.util.trigger.state_file import read_state, write_state
from testing.plugin import ENVIRONMENT

WRITER = """
import sys
from pathlib import Path
from komand_sentry.util.trigger.state_file import write_state
print("ready", flush=True)
number = 0
while True:
    number += 1
    write_state(Path(sys.argv[1]), {"number": number, "seen": {str(item): number for item in range(2000)}})
"""


class TestStateFile(unittest.TestCase):
    def setUp(self) -> None:
        self.path = Path(self.enterContext(tempfile.TemporaryDirectory())) / "cache" / "7.json"

    def test_what_is_written_is_read(self) -> None:
        self.assertEqual(read_state(self.path), {})
        for state in ({"a": [1, "\u2603"]}, {}):
            write_state(self.path, state)
            self.assertEqual(read_state(self.path), state)
        self.assertEqual(os.listdir(self.path.parent), ["7.json"])

    def test_damage_is_detected(self) -> None:
        self.path.parent.mkdir()
        for damaged in (b"", b"{", b'{"a": 1', b"[1]", b"null", b"\xff\x00", b"[" * 100_000):
            with self.subTest(damaged[:9]):
                self.path.write_bytes(damaged)
                with self.assertRaises(ValueError):
                    read_state(self.path)

    def test_a_huge_file_is_not_parsed(self) -> None:
        write_state(self.path, {"a": "b" * 100})
        with mock.patch.object(state_file, "MAX_STATE_BYTES", 50), self.assertRaisesRegex(ValueError, "too large"):
            read_state(self.path)

    def test_a_failed_write_leaves_the_earlier_state(self) -> None:
        write_state(self.path, {"a": 1})
        with mock.patch("os.fsync", side_effect=OSError(28, "No space left on device")), self.assertRaises(OSError):
            write_state(self.path, {"a": 2})
        self.assertEqual(read_state(self.path), {"a": 1})

    def test_a_kill_leaves_a_complete_state(self) -> None:
        for delay in (0.0, 0.003, 0.01, 0.02):
            with subprocess.Popen(
                [sys.executable, "-c", WRITER, str(self.path)], stdout=subprocess.PIPE, env=ENVIRONMENT
            ) as process:
                assert process.stdout
                process.stdout.readline()
                while not self.path.exists():
                    time.sleep(0.001)
                time.sleep(delay)
                process.send_signal(signal.SIGKILL)
            state = read_state(self.path)
            self.assertEqual(set(state["seen"].values()), {state["number"]})


if __name__ == "__main__":
    unittest.main()
