"""A small Sentry server on loopback, to run and test the plugin without an account.

It serves Relay's ingestion and the web API `/api/0` of a self-hosted Sentry of 2026, with the same checks and error
messages. Everything but a merge is synchronous: an event can be read as soon as it is accepted.

    with Sandbox() as sandbox:
        requests.get(sandbox.base + "/api/0/", headers={"Authorization": "Bearer " + sandbox.env["TOKEN"]})

or as a separate process: `python -m sandbox --port 9000 --database sentry.db`.
"""

from .faults import Fault, Faults
from .server import ReceivedRequest, Sandbox

__all__ = ["Fault", "Faults", "ReceivedRequest", "Sandbox"]
