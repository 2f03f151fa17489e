"""Errors, named by what the caller may do next.

OrderManagerError
+ SettingsInvalid           mend the named variable and start again
+ MalformedMessage          dead-letter it
+ NotConfirmed              the broker may have it or not: send it again, repeats are dropped
+ PositionManagerAway       decide without it as the settings say, and ask again next time
+ LaneLost                  stop at once: another process may own the symbol by now
+ AlreadyPlaced             an order of the signal exists that was forgotten: place nothing
+ ExchangeError(ret_code)
  + Retryable               ask again with the same client_order_id
    - RateLimited           not applied; ask again after `retry_after_s`
    - Unavailable           not applied; the exchange or the way to it was away
    - OutcomeUnknown        sent, answer lost: it may have been applied; look before asking again
  + Refused                 a final no: record it, announce it, move on
    - InsufficientBalance
    - OrderNotFound
    - DuplicateOrder        the client_order_id is known there: look the order up
  + AccessDenied            our keys, our address or our account: stop trading and page someone
  + UnreadableAnswer        the exchange says what we do not know: conclude nothing, have a person look
"""


class OrderManagerError(Exception):
    """Any error this product raises on purpose."""


class SettingsInvalid(OrderManagerError):
    """A setting that cannot be used; the message names the variable, the limit and what to do."""


class MalformedMessage(OrderManagerError):
    """A message that cannot be a signal or an update.

    `code` is for machines, `field` names the culprit ("" for the whole message), `signal_id` is the
    sender's id where it could be read.
    """

    def __init__(self, code: str, field: str, message: str, *, signal_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.message = message
        self.signal_id = signal_id


class LaneLost(OrderManagerError):
    """The session that holds a symbol's lane is gone, and with it the right to act on the symbol."""


class AlreadyPlaced(OrderManagerError):
    """A planned client_order_id is on record: the database was restored, and the order found again."""


class NotConfirmed(OrderManagerError):
    """The broker did not say that it has a message; it may have it all the same."""


class PositionManagerAway(OrderManagerError):
    """The Position Manager did not answer, or not in a way that can be used."""


class ExchangeError(OrderManagerError):
    """The exchange, or the way to it, did not do as asked. `ret_code` is 0 when none was received."""

    def __init__(self, message: str, *, ret_code: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.ret_code = ret_code

    @property
    def reason(self) -> str:
        """For people, with the code to look up, where there is one."""
        return f"{self.message} ({self.ret_code})" if self.ret_code else self.message


class Retryable(ExchangeError):
    """Asking again, with the same client_order_id, may succeed."""


class RateLimited(Retryable):
    """Not applied: too many requests. Wait `retry_after_s` seconds."""

    def __init__(self, message: str, *, ret_code: int = 0, retry_after_s: float = 1.0) -> None:
        super().__init__(message, ret_code=ret_code)
        self.retry_after_s = retry_after_s


class Unavailable(Retryable):
    """Not applied: nothing reached the exchange, or it said that it did nothing."""


class OutcomeUnknown(Retryable):
    """Sent, and the answer was lost or says nothing: it may have been applied."""


class Refused(ExchangeError):
    """A final no for this request as it stands."""


class InsufficientBalance(Refused):
    """Not enough funds or margin for the order."""


class OrderNotFound(Refused):
    """The order to cancel or amend is not open at the exchange: gone, filled, or not yet visible."""


class DuplicateOrder(Refused):
    """The exchange has seen this client_order_id before."""


class AccessDenied(ExchangeError):
    """Key, signature, permission, region or account problem: no request can succeed until a person acts."""


class UnreadableAnswer(ExchangeError):
    """An answer with a value that we do not know, or without one that we need: it proves nothing."""


_OF_CODE = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError, ValueError)


def is_bug(error: Exception) -> bool:
    """Whether `error` tells of code rather than of a server that is away: a log has its traceback then."""
    return isinstance(error, _OF_CODE)
