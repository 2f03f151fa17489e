"""One signal, one attempt, one slice: one client_order_id, for ever."""

import re

from hypothesis import given
from hypothesis import strategies as st

from order_manager.domain.identity import MAX_LENGTH, client_order_id

signal_ids = st.text(min_size=1, max_size=100).filter(lambda text: text.isprintable())
attempts = st.integers(1, 32767)
slices = st.integers(0, 49)


def test_the_key_of_a_known_signal_never_changes():
    """Orders of an earlier release must be found again: change this only with a migration."""
    key = client_order_id("test-signal-001", attempt=1, slice_number=0)
    assert key == "om-xpfd5yxxtrntn5komsx75mrl-1-0"


@given(signal_ids, attempts, slices)
def test_a_key_fits_the_exchange_s_field(signal_id, attempt, number):
    key = client_order_id(signal_id, attempt=attempt, slice_number=number)
    assert re.fullmatch(r"[a-z0-9-]+", key)
    assert len(key) <= MAX_LENGTH


@given(signal_ids, signal_ids, attempts, attempts, slices, slices)
def test_keys_are_equal_only_for_the_same_signal_attempt_and_slice(a, b, attempt_a, attempt_b, na, nb):
    same = (a, attempt_a, na) == (b, attempt_b, nb)
    first = client_order_id(a, attempt=attempt_a, slice_number=na)
    second = client_order_id(b, attempt=attempt_b, slice_number=nb)
    assert (first == second) is same
