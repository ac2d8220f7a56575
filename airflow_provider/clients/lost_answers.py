"""A request without a complete answer: what it may have done, and why, from the error of ``requests`` or ``urllib3``.

No I/O.
"""

from __future__ import annotations

import ssl

import requests
import urllib3

from airflow_provider.exceptions import Effect


def effect_of(error: Exception) -> Effect:
    """What the request may have done."""
    if _never_arrived(error):
        return Effect.NONE
    timeouts = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)
    return Effect.LATE if isinstance(error, timeouts) else Effect.UNKNOWN


def reason_of(error: Exception, host: str, *, timeout: float, connect_timeout: float) -> str:
    """Why there is no answer, for people.

    :param timeout: seconds that the whole attempt had.
    :param connect_timeout: seconds that it had to connect.
    """
    if _is_tls_failure(error):
        advice = (
            "It does not seem to speak TLS: should the connection's host begin with http://?"
            if "WRONG_VERSION_NUMBER" in str(error)
            else "If a private CA has signed its certificate, give the CA bundle in the connection's extra `verify`"
        )
        return f"TLS with {host} failed: {_innermost(error)}. {advice}"
    if _is_connect_timeout(error):
        return f"could not connect to {host} within {connect_timeout:g} s"
    effect = effect_of(error)
    if effect is Effect.LATE:
        return f"no complete answer from {host} within {timeout:g} s"
    if effect is Effect.NONE:
        return f"cannot connect to {host}: {_innermost(error)}"
    return f"the connection to {host} broke before the answer was complete: {_innermost(error)}"


def _never_arrived(error: Exception) -> bool:
    # Of all TLS failures, only one about the server's certificate certainly comes before the request. A failure that
    # names a proxy does not: it may also be a connection that the proxy dropped after it had taken the request.
    before_sending = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        ssl.SSLCertVerificationError,
    )
    return any(isinstance(cause, before_sending) for cause in _causes(error))


def _is_connect_timeout(error: Exception) -> bool:
    # In urllib3, a refused connection is a kind of time-out, too.
    connect_timeouts = (requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError)
    return isinstance(error, connect_timeouts) and not isinstance(error, urllib3.exceptions.NewConnectionError)


def _is_tls_failure(error: Exception) -> bool:
    """Whether TLS failed; a connection that merely ends inside TLS is a lost answer instead."""
    if not isinstance(error, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)):
        return False
    return not any(isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) for cause in _causes(error))


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all errors wrapped inside it, however `requests` and `urllib3` wrapped them."""
    found: list[BaseException] = []
    left: list[object] = [error]
    while left:
        item = left.pop()
        if isinstance(item, BaseException) and item not in found:
            found.append(item)
            left.extend([*item.args, getattr(item, "reason", None), item.__cause__])
    return found


def _innermost(error: BaseException) -> str:
    """The operating system's own words (``Connection refused``), without the wrappers."""
    for cause in reversed(_causes(error)):
        if isinstance(cause, OSError) and not isinstance(cause, requests.exceptions.RequestException) and str(cause):
            return str(cause.strerror or cause)
    return type(error).__name__
