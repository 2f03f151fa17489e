"""What each retCode means for the caller: one table, `ERROR_FOR_CODE`.

A code that the table does not know may hide an order that was accepted, so for a request that changes
something it is OutcomeUnknown. A read changes nothing: there it is Unavailable, ask again.
"""

from order_manager.errors import (
    AccessDenied,
    DuplicateOrder,
    ExchangeError,
    InsufficientBalance,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unavailable,
)

CLOCK_OUT_OF_WINDOW = 10002
RATE_LIMIT_EXCEEDED = 10006
CREATE = "/v5/order/create"


def _codes(text: str) -> list[int]:
    """'110001 110110..110113' -> every code named, ranges included."""
    found: list[int] = []
    for part in text.split():
        first, _, last = part.partition("..")
        found.extend(range(int(first), int(last or first) + 1))
    return found


# "Not modified", "repeated auth": the wanted state is already there.
SUCCESS_CODES = frozenset(_codes("0 110025 110026 110027 110043 20001"))

_CODES_FOR_ERROR: dict[type[ExchangeError], str] = {
    RateLimited: """
        429 10006 10018 10403 10429 20003
        170005 170222
    """,
    # Not applied: clock, restart, upgrade, "being processed", settlement, liquidation, a new pair.
    Unavailable: """
        10002 10019 30035 110063 110066 110079 110080 110114 140003 140004
        170144 170159 170191 170206 3100197
    """,
    # Timeouts, internal errors, "in processing"; 34040 means "already so" or "parameter missing".
    OutcomeUnknown: """
        -1 10000 10014 10016 20006 34040 40004 110035 3400214
        170001 170007 170032 170035 170146 170147 170149 170150 170212 170234 170310 170311
    """,
    AccessDenied: """
        -2015 10003..10005 10007..10010 10024 10027 10028 33004 100028
        110018 110123..110125 110132 170241 170348
    """,
    # Gone, filled, cancelled already, or not visible yet.
    OrderNotFound: "110001 110008 110010 170139 170142 170143 170190 170213",
    DuplicateOrder: "110030 110072 170141",
    InsufficientBalance: """
        110004 110006 110007 110012 110014 110044 110045 110051..110053
        170033 170034 170131 170207
    """,
    Refused: """
        10001 10017 10029 10404 30133..30136 30208 30209 30228 30256
        110003 110005 110009 110011 110013 110015 110017 110019..110024 110028 110029 110031..110034
        110036..110042 110046..110050 110054..110062 110064 110065 110067..110071 110073 110074
        110076..110078 110082 110083 110085..110090 110092..110113 110115..110121 110131 110135..110137
        140001 140005
        170010 170011 170019 170031 170036 170037 170105 170115..170117 170121 170124 170130
        170132..170134 170136 170137 170140 170145 170148 170151 170157 170192..170204 170209 170210
        170215..170221 170223 170224 170226..170230 170312 170313 170341 170344 170346 170355
        170358..170360 170371 170372 170381 170382 170709 170810
        176000..176999 181000..181012 181017 182011 182021 182100..182108 182110..182112
        500010 500011 3100181 3100326 3200316 3200317 3200320 3200403 3200419 3200425 3200641
        3400045 3400052..3400054 3400071 3400139 3400208..3400213 3401010
    """,
}

ERROR_FOR_CODE: dict[int, type[ExchangeError]] = {
    code: error for error, text in _CODES_FOR_ERROR.items() for code in _codes(text)
}

# The docs say "retry" of an overloaded trading service; a create is looked up before it is sent again.
ERROR_FOR_CREATE_CODE: dict[int, type[ExchangeError]] = {429: OutcomeUnknown}


def error_class(code: int, endpoint: str, *, is_read: bool) -> type[ExchangeError] | None:
    """The error that `code` stands for as the answer of `endpoint`; None for success."""
    if code in SUCCESS_CODES:
        return None
    error = ERROR_FOR_CODE.get(code, OutcomeUnknown)
    if endpoint == CREATE:
        error = ERROR_FOR_CREATE_CODE.get(code, error)
    return Unavailable if is_read and error is OutcomeUnknown else error
