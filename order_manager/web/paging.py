"""Pages of a list, and the span of time that it is from."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from order_manager.database.queries import Page
from order_manager.web.parameters import DIGITS, From, Limit, Parameters, To, refuse

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_OFFSET = 1_000_000  # what is skipped is read first; further back, narrow the dates


class Paged(Parameters):
    """A list's query begins here."""

    limit: Annotated[
        int, Field(ge=1, le=MAX_LIMIT), DIGITS, Limit(f"a whole number from 1 to {MAX_LIMIT}")
    ] = DEFAULT_LIMIT
    offset: Annotated[
        int, Field(ge=0, le=MAX_OFFSET), DIGITS, Limit(f"a whole number from 0 to {MAX_OFFSET}")
    ] = 0

    @property
    def page(self) -> Page:
        return Page(limit=self.limit, offset=self.offset)

    def pagination(self, total: int) -> dict[str, int]:
        return {"limit": self.limit, "offset": self.offset, "total": total}


class Spanned(Paged):
    """Both ends belong to the span."""

    date_from: From | None = None
    date_to: To | None = Field(None, description="a date alone is its whole day")

    @field_validator("date_to")
    @classmethod
    def _is_not_before_date_from(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        begin = info.data.get("date_from")
        if value is not None and begin is not None and begin > value:
            raise refuse("not before date_from")
        return value
