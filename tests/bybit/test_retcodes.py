import json
from pathlib import Path

import pytest

from order_manager.bybit import retcodes
from order_manager.bybit.retcodes import CREATE, ERROR_FOR_CODE, SUCCESS_CODES, error_class
from order_manager.errors import (
    AccessDenied,
    DuplicateOrder,
    InsufficientBalance,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unavailable,
)

CANCEL = "/v5/order/cancel"
DOCUMENTED = json.loads((Path(__file__).parents[1] / "data" / "bybit" / "retcodes.json").read_text())["codes"]

# What the digest's class allows the caller to do, as our errors.
ERRORS_FOR_CLASS = {
    "NOW": {Unavailable},
    "WAIT": {RateLimited, Unavailable},
    "UNK": {OutcomeUnknown},
    "REJ": {Refused, InsufficientBalance},
    "AUTH": {AccessDenied},
    # Already so: success, or for the caller to look up.
    "DONE": {None, OrderNotFound, DuplicateOrder, OutcomeUnknown},
    "OK": {None},
}


@pytest.mark.parametrize("code", sorted(DOCUMENTED, key=int))
def test_every_documented_code_has_its_class(code):
    assert int(code) in ERROR_FOR_CODE or int(code) in SUCCESS_CODES
    allowed = ERRORS_FOR_CLASS[DOCUMENTED[code]["class"]]
    assert error_class(int(code), CANCEL, is_read=False) in allowed


def test_no_code_has_two_classes():
    assert not SUCCESS_CODES & ERROR_FOR_CODE.keys()
    total = sum(len(retcodes._codes(codes)) for codes in retcodes._CODES_FOR_ERROR.values())
    assert total == len(ERROR_FOR_CODE)


@pytest.mark.parametrize("code", [110001, 110008, 110010, 170139, 170142, 170143, 170190, 170213])
def test_a_gone_order_is_not_found(code):
    assert error_class(code, CANCEL, is_read=False) is OrderNotFound


@pytest.mark.parametrize("code", [110072, 110030, 170141])
def test_a_known_link_id_is_a_duplicate(code):
    assert error_class(code, CREATE, is_read=False) is DuplicateOrder


@pytest.mark.parametrize("code", [110004, 110007, 110012, 110044, 110045, 110052, 170131])
def test_short_funds_are_told_apart(code):
    assert error_class(code, CREATE, is_read=False) is InsufficientBalance


@pytest.mark.parametrize("code", [110025, 110043, 110026, 110027])
def test_not_modified_is_success(code):
    assert error_class(code, "/v5/position/set-leverage", is_read=False) is None


def test_an_overloaded_service_leaves_a_create_in_doubt():
    assert error_class(429, CREATE, is_read=False) is OutcomeUnknown
    assert error_class(429, CANCEL, is_read=False) is RateLimited


@pytest.mark.parametrize("code", [123456, -7, 10000, 10016, 170007, -1])
def test_a_code_without_a_clear_outcome_is_unknown_for_a_write_and_harmless_for_a_read(code):
    assert error_class(code, CREATE, is_read=False) is OutcomeUnknown
    assert error_class(code, "/v5/order/realtime", is_read=True) is Unavailable
