"""A small Sentry on loopback, to run and test the plugin against without an account.

It follows Sentry of 2026 as self-hosted: Relay's ingestion in front, the web API `/api/0` behind. It is as strict as
Sentry is, and in the same words, where a client can notice. It is not a monitor: nothing is asynchronous, nothing is
symbolicated, no mail is sent, no quota is measured other than the one asked for.

    with Sandbox() as sandbox:
        requests.get(sandbox.base + "/api/0/", headers={"Authorization": "Bearer " + sandbox.env["TOKEN"]})

or, as a process of its own: `python -m sandbox --port 9000 --database sentry.db`.
"""

from .faults import Fault, Faults
from .server import ReceivedRequest, Sandbox

__all__ = ["Fault", "Faults", "ReceivedRequest", "Sandbox"]
