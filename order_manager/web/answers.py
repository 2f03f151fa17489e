"""What answers are made of, for the OpenAPI document; each resource has its own beside its views."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[
    str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="a decimal number, never with an exponent")
]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="UTC")]


class Answer(BaseModel):
    """Every field is there; null is nothing or not known."""

    model_config = ConfigDict(extra="forbid")


class Problem(Answer):
    """Any error."""

    error: str = Field(description="for people: what is wrong, its limit and its value")
    code: str = Field(description="for machines", json_schema_extra={"example": "invalid_parameter"})
    details: dict[str, Any]


class Pagination(Answer):
    limit: int
    offset: int
    total: int = Field(description="on all pages")
