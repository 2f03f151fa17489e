"""What exposure is, in quote: said once, for the limit, the metrics and the console."""

# One row per asset and mode; the legs that a mode does not have are zero.
POSITION_VALUE = """(abs(size) + long_size + abs(short_size))
    * coalesce(mark_price, average_price, long_average_price, short_average_price, 0)"""

# What can still fill; while an amendment is under way, the larger order.
ORDER_VALUE = """(greatest(quantity, amend_quantity) - filled_quantity)
    * coalesce(greatest(price, amend_price), reference_price, 0)"""

OPEN = "status IN ('pending', 'partially_filled')"
