"""Every error Lepton raises on purpose.

The message of each is public by definition: it names what happened, what was allowed and what to do next, and
never quotes a cell of anyone's data, a secret, a path of the server or SQL.

LeptonError
├── InvalidInput       400 invalid_input      the request or the file is wrong; says where
├── Unauthenticated    401 unauthenticated    no token, or one that is unknown, expired or revoked
├── Forbidden          403 forbidden          the role does not hold the action
├── NotFound           404 not_found          no such thing, or no such version
├── Conflict           409 conflict           the thing is not in a state that allows this
├── TooLarge           413 too_large          the body or the file is over the limit
├── TooManyRequests    429 too_many_requests  more than the limit allows, or than can be answered in time
├── RunFailed          422 run_failed         a run that was waited for ended in failure
├── Internal           500 internal           unexpected; details only in the server's log
├── Unavailable        503 unavailable        a part does not answer right now
└── StorageFull        507 storage_full       no space left where the data lives
"""

from __future__ import annotations


class LeptonError(Exception):
    """Base of all errors of ours: one public sentence, a code and an HTTP status."""

    code = "internal"
    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(LeptonError):
    """The request or the file is wrong."""

    code = "invalid_input"
    status = 400


class Unauthenticated(LeptonError):
    """No token was given, or it is unknown, expired or revoked."""

    code = "unauthenticated"
    status = 401


class Forbidden(LeptonError):
    """The actor's role does not hold the action."""

    code = "forbidden"
    status = 403


class NotFound(LeptonError):
    """There is no such thing, or no such version of it."""

    code = "not_found"
    status = 404


class Conflict(LeptonError):
    """The thing is not in a state that allows this."""

    code = "conflict"
    status = 409


class TooLarge(LeptonError):
    """The body or the file is over the limit."""

    code = "too_large"
    status = 413


class TooManyRequests(LeptonError):
    """More was asked than a limit allows; `retry_after_s` says when to ask again."""

    code = "too_many_requests"
    status = 429
    retry_after_s = 1


class RunFailed(LeptonError):
    """A run that was waited for ended in failure."""

    code = "run_failed"
    status = 422


class Internal(LeptonError):
    """Something unexpected; the details are only in the server's log."""

    code = "internal"
    status = 500


class Unavailable(LeptonError):
    """A part that is needed does not answer right now."""

    code = "unavailable"
    status = 503


class StorageFull(LeptonError):
    """No space is left where the data lives."""

    code = "storage_full"
    status = 507


_BY_CODE: dict[str, type[LeptonError]] = {
    cls.code: cls
    for cls in (
        InvalidInput,
        Unauthenticated,
        Forbidden,
        NotFound,
        Conflict,
        TooLarge,
        TooManyRequests,
        RunFailed,
        Internal,
        Unavailable,
        StorageFull,
    )
}


def error_from_code(code: str, message: str) -> LeptonError:
    """Rebuild an error from its wire form, so that a client raises the class the server raised."""
    return _BY_CODE.get(code, Internal)(message)
