"""The random faults of the sandbox: their kinds, and which requests they affect."""

import json
import os
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor

import requests

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..")))

from sandbox import Fault, Faults, Sandbox


def submit(sandbox: Sandbox, number: int) -> requests.Response:
    headers = {"X-Sentry-Auth": f"Sentry sentry_version=7, sentry_key={sandbox.env['PUBLIC_KEY']}"}
    url = f"{sandbox.base}/api/{sandbox.env['PROJECT_ID']}/store/"
    event = {"event_id": f"{number:032x}", "message": "Pump P-2 stopped"}
    return requests.post(url, json.dumps(event), headers=headers, timeout=10)


def stored(sandbox: Sandbox) -> int:
    count: int = sandbox.store.scalar("SELECT COUNT(*) FROM event")
    return count


def all_chosen(faults: Faults, count: int) -> list[Fault | None]:
    return [faults.choose("GET", f"/api/0/?{number}", b"") for number in range(count)]


class TestKinds(unittest.TestCase):
    def sandbox_that(self, kind: Fault) -> Sandbox:
        return self.enterContext(Sandbox(faults=Faults(1.0, kinds=[kind])))

    def test_unavailable(self) -> None:
        sandbox = self.sandbox_that(Fault.UNAVAILABLE)
        response = submit(sandbox, 1)
        self.assertEqual((response.status_code, response.headers["Content-Type"]), (503, "text/html"))
        self.assertIn("nginx", response.text)
        self.assertEqual(stored(sandbox), 0)

    def test_limited(self) -> None:
        sandbox = self.sandbox_that(Fault.LIMITED)
        responses = [submit(sandbox, number) for number in range(30)]
        self.assertEqual({response.status_code for response in responses}, {429})
        self.assertEqual({response.headers.get("Retry-After") for response in responses}, {"0", "1", None})
        self.assertEqual({response.headers["Content-Type"] for response in responses}, {"text/html"})
        self.assertIn("too frequently", responses[0].json())
        self.assertEqual(stored(sandbox), 0)

    def test_request_lost(self) -> None:
        sandbox = self.sandbox_that(Fault.REQUEST_LOST)
        self.assertRaisesRegex(requests.ConnectionError, "reset by peer", submit, sandbox, 1)
        self.assertEqual((stored(sandbox), sandbox.requests), (0, []))

    def test_response_lost(self) -> None:
        sandbox = self.sandbox_that(Fault.RESPONSE_LOST)
        self.assertRaisesRegex(requests.ConnectionError, "reset by peer", submit, sandbox, 1)
        self.assertEqual((stored(sandbox), len(sandbox.requests)), (1, 1))
        self.assertEqual(sandbox.faults.played, {Fault.RESPONSE_LOST: 1})

    def test_a_connection_stays_open_after_an_error_response(self) -> None:
        sandbox = self.sandbox_that(Fault.UNAVAILABLE)
        with requests.Session() as session:
            self.assertEqual(session.get(f"{sandbox.base}/api/0/", timeout=10).status_code, 503)
            sandbox.faults.on = False
            headers = {"Authorization": f"Bearer {sandbox.env['TOKEN']}"}
            self.assertEqual(session.get(f"{sandbox.base}/api/0/", headers=headers, timeout=10).status_code, 200)


class TestChoice(unittest.TestCase):
    def test_the_rate_and_all_kinds(self) -> None:
        faults = Faults(0.3, seed=1)
        chosen = all_chosen(faults, 10_000)
        failed = sum(fault is not None for fault in chosen)
        self.assertAlmostEqual(failed / 10_000, 0.3, delta=0.02)
        self.assertEqual((faults.requests, faults.played.total()), (10_000, failed))
        for kind in Fault:
            self.assertAlmostEqual(faults.played[kind] / failed, 0.25, delta=0.03)

    def test_the_same_seed_gives_the_same_faults(self) -> None:
        first, second, other = (all_chosen(Faults(0.3, seed), 100) for seed in (1, 1, 2))
        self.assertEqual(first, second)
        self.assertNotEqual(first, other)

    def test_only_some_paths(self) -> None:
        faults = Faults(1.0, paths="/api/[0-9]+/store/")
        self.assertIsNone(faults.choose("GET", "/api/0/issues/1/", b""))
        self.assertIsNotNone(faults.choose("POST", "/api/1/store/", b""))

    def test_turned_off_and_on(self) -> None:
        faults = Faults(1.0)
        faults.on = False
        self.assertIsNone(faults.choose("GET", "/", b""))
        faults.on = True
        self.assertIsNotNone(faults.choose("GET", "/", b""))

    def test_the_number_of_faults_in_a_row_is_limited(self) -> None:
        faults = Faults(1.0, max_in_a_row=2)
        failed = [faults.choose("POST", "/api/1/store/", b"one") is not None for _ in range(6)]
        self.assertEqual(failed, [True, True, False, True, True, False])
        self.assertIsNotNone(faults.choose("POST", "/api/1/store/", b"another"))

    def test_counts_from_many_threads(self) -> None:
        faults = Faults(0.5, seed=3, max_in_a_row=3)
        with ThreadPoolExecutor(8) as pool:
            chosen = [fault for some in pool.map(lambda _: all_chosen(faults, 500), range(8)) for fault in some]
        self.assertEqual(faults.requests, 4000)
        self.assertEqual(faults.played.total(), sum(fault is not None for fault in chosen))


class TestSandbox(unittest.TestCase):
    def test_there_are_no_faults_by_default(self) -> None:
        with Sandbox() as sandbox:
            self.assertTrue(all(submit(sandbox, number).ok for number in range(20)))
            self.assertEqual((sandbox.faults.requests, sandbox.faults.played.total()), (20, 0))


if __name__ == "__main__":
    unittest.main()
