"""The server under test: its URL, credentials and IDs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from testing.plugin import Json

REQUIRED = ("URL", "TOKEN", "ORG", "PROJECT", "DSN")
# A test that needs a missing one is reported as not run.
OPTIONAL = (
    "DSN_SECRET",
    "DSN_ELSEWHERE",
    "TOKEN_READONLY",
    "TOKEN_USELESS",
    "TOKEN_EXPIRED",
    "USER_EMAIL",
    "USER_ID",
    "USER_NAME",
    "TEAM_ID",
    "REPOSITORY",
    "COMMIT",
)
PREFIX = "SENTRY_E2E_"

# Our names -> the keys that the sandbox and similar test servers print, where they differ.
_SERVER_KEYS = {
    "URL": "BASE",
    "DSN": "DSN_PUBLIC",
    "DSN_ELSEWHERE": "DSN_BRAVO",
    "TOKEN_USELESS": "TOKEN_TEAMREAD",
    "USER_NAME": "USER_EMAIL",
}


@dataclass(frozen=True)
class Target:
    """A server to test against.

    :param server: which rows of exceptions.py apply, such as `sentry-9.1.2`
    :param seconds: how long to wait for submitted data to appear
    """

    values: Mapping[str, str] = field(repr=False)
    server: str = ""
    seconds: float = 60

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Target | None":
        """The server described by the variables SENTRY_E2E_..., None without them.

        :raises ValueError: only some of the required variables are set
        """
        names = (*REQUIRED, *OPTIONAL)
        values = {name: environment[PREFIX + name] for name in names if environment.get(PREFIX + name)}
        if not values:
            return None
        if missing := [PREFIX + name for name in REQUIRED if name not in values]:
            raise ValueError(f"set {', '.join(missing)} too")
        server, seconds = environment.get(f"{PREFIX}SERVER", ""), float(environment.get(f"{PREFIX}SECONDS", "60"))
        return cls(values, server, seconds)

    @classmethod
    def from_server_env(cls, env: Mapping[str, str], server: str) -> "Target":
        """The server described by the KEY=VALUE lines that it printed."""
        named = {name: env.get(_SERVER_KEYS.get(name, name), "") for name in (*REQUIRED, *OPTIONAL)}
        return cls({name: value for name, value in named.items() if value}, server)

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def connection(self, token: str = "TOKEN") -> Json:  # noqa: S107 - the name of a variable
        return {"token": {"token": self.values.get(token, token)}, "url": self["URL"]}
