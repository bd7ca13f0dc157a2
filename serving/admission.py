"""Who may ask what: keys and their scopes, or loopback alone where nobody needs a key."""

from starlette.datastructures import Headers
from starlette.types import Scope

from serving.caller import Budget
from serving.keys import Bucket, Key, Keys
from serving.logs import NowAndThen
from serving.metrics import Metrics
from serving.problems import Refused
from serving.settings import Settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")
OPEN = ("/", "/healthz", "/readyz", "/openapi.json")
PAGE = "/page/"
FIGURES = "/metrics"

_FAILURES_A_SECOND = 10.0
_FAILURES_AT_ONCE = 100
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Admission:
    """keys: None where nobody is asked for one; then only loopback names are served, so that no page
    on the web can reach the service through a name of its own.

    Keys are random and long, so that guessing is hopeless however fast it goes. What is limited is
    the work that requests without one make, and never whoever has one.
    """

    def __init__(self, settings: Settings, keys: Keys | None, metrics: Metrics) -> None:
        self._settings = settings
        self._keys = keys
        self._metrics = metrics
        self._failures = Bucket(_FAILURES_A_SECOND, _FAILURES_AT_ONCE)
        self._log = NowAndThen()

    def admit(self, scope: Scope, headers: Headers) -> str:
        """Name of the key. Raises Refused: 401 without one, 403 for lack of a scope, 429 when it
        asks too often.
        """
        if self._keys is None:
            _require_loopback(headers)
            _require_own_page(headers, self._settings.cors)
            return "loopback"
        path = scope["path"]
        if path in OPEN or path.startswith(PAGE):
            return "none"
        key = self._find(self._keys, scope, headers)
        needed = scopes_for(path)
        if not set(needed) & set(key.scopes):
            self._metrics.refused_keys.labels("scope").inc()
            raise Refused(
                403,
                f"key {key.name!r} has no scope {needed[0]!r}",
                f"Use a key with {needed[0]!r} among its scopes",
                code="missing_scope",
            )
        budget = Budget(self._keys, key)
        budget.take(1)
        scope["budget"] = budget
        return key.name

    def _find(self, keys: Keys, scope: Scope, headers: Headers) -> Key:
        token = _token(headers)
        key = keys.find(token)
        if key is None:
            reason = "unknown" if token else "missing"
            unknown = Refused(
                401,
                "no known key",
                "Send the header: Authorization: Bearer KEY",
                _CHALLENGE,
                code="unknown_key",
            )
            raise self._failed(scope, reason, unknown)
        if key.is_expired():
            expired = Refused(
                401,
                f"key {key.name!r} expired: {key.expires} was its last day",
                "Ask for a new one: recsys key NAME --days N",
                _CHALLENGE,
                code="expired_key",
            )
            raise self._failed(scope, "expired", expired)
        return key

    def _failed(self, scope: Scope, reason: str, refused: Refused) -> Refused:
        """What is to be told: that, or 429 where too many fail."""
        self._metrics.refused_keys.labels(reason).inc()
        client = scope.get("client") or ("nobody", 0)
        self._log.warning("refused %s: %s (%s)", client[0], refused.message, reason)
        if wait := self._failures.take():
            busy = {"Retry-After": str(int(wait) + 1)}
            return Refused(
                429,
                "too many requests come without a known key",
                refused.remedy,
                busy,
                code="rate_limited",
            )
        return refused


def scopes_for(path: str) -> tuple[str, ...]:
    """The scopes that open a path, the one that is meant for it first."""
    if path == FIGURES:
        return (
            "metrics",
            "read",
        )  # keys for reading were made before there was a scope for figures
    if path.startswith("/v1/admin/"):
        return ("admin",)
    if path.startswith(("/v1/events", "/v1/impressions")):
        return ("events",)
    return ("read",)


def _require_loopback(headers: Headers) -> None:
    """Raises Refused (421): a page elsewhere may point its own name at this machine, but not choose
    the host header.
    """
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name.strip("[]").lower() not in LOOPBACK:
        raise Refused(
            421,
            f"host {host!r} is not loopback",
            "Ask 127.0.0.1, or start the service with --keys",
            code="foreign_host",
        )


def _require_own_page(headers: Headers, allowed: tuple[str, ...]) -> None:
    """Raises Refused (403): where nobody needs a key, a page elsewhere could have its reader's
    browser ask.
    """
    origin = headers.get("origin")
    if (
        origin is not None
        and origin not in allowed
        and origin.partition("://")[2] != headers["host"]
    ):
        raise Refused(
            403,
            f"pages of {origin!r} may not ask",
            "Name the origin with --cors",
            code="foreign_origin",
        )


def _token(headers: Headers) -> str:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")
