"""Pages of a list."""

from order_manager.database.queries import Page
from order_manager.web.parameters import Parameters

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_OFFSET = 1_000_000  # what is skipped is read first; further back, narrow the dates


def page_from(parameters: Parameters) -> Page:
    return Page(
        limit=parameters.whole_number("limit", default=DEFAULT_LIMIT, low=1, high=MAX_LIMIT),
        offset=parameters.whole_number("offset", default=0, low=0, high=MAX_OFFSET),
    )


def pagination_json(page: Page, total: int) -> dict[str, int]:
    return {"limit": page.limit, "offset": page.offset, "total": total}
