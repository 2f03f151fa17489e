"""Writes docs/settings.md and env.example from the settings class: python docs/generate_settings.py."""

import inspect
import re
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from order_manager.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
UNITS = ("quote currency", "base currency", "percent", "ms", "s", "bytes")

HEAD = """\
# Settings

Made by `python docs/generate_settings.py` from `order_manager/settings.py`; do not edit by hand.

Settings are environment variables. They are read once, when a process starts; a file `.env` in the working
directory is read too, and the environment wins over it. An empty value counts as not set. A bad value stops
the start with a line that names the variable. All processes of a fleet need the same values; only
`ORDERMANAGER_WORKER_SYMBOLS` and `ORDERMANAGER_METRICS_PORT` are one process's own.

`order-manager up` chooses some values by itself where nothing is set: the addresses, ports and passwords of
the servers that it embeds, the REST API's key and the paper exchange's keys. On the paper exchange it also
sets `ORDERMANAGER_MAX_POSITION_SIZES`, and says so when it starts.
"""
NO_EFFECT = "No effect yet"
NO_EFFECT_NOTE = f'\n"{NO_EFFECT}" means that the value is read and checked, and nothing uses it.\n'
ENV_HEAD = """\
# Every setting with its default. Copy to .env, remove the # in front of what you change.
# Made by `python docs/generate_settings.py`; docs/settings.md has the same as tables.
"""


def names_of(field: FieldInfo) -> list[str]:
    """The environment's spellings, the preferred one first."""
    alias = field.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [str(alias)]


def default_of(field: FieldInfo) -> str:
    """As it would be written in `.env`; empty when there is none."""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if value or isinstance(value, int | Decimal) else ""


def unit_of(name: str, field: FieldInfo) -> str:
    """The description names it, or the field's name ends with it."""
    words = field.description or ""
    if field.annotation is bool:
        return ""
    found = (unit for unit in UNITS if re.match(rf"{unit}\b", words) or name.endswith(f"_{unit}"))
    return next(found, "")


def allowed_of(field: FieldInfo) -> str:
    """The values that are taken; empty for any text."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(get_args(field.annotation))
    if field.annotation is bool:
        return "true, false"
    limits = {
        name: getattr(part, name)
        for part in field.metadata
        for name in ("ge", "gt", "le")
        if getattr(part, name, None) is not None
    }
    low = f"above {limits['gt']}" if "gt" in limits else f"{limits['ge']}" if "ge" in limits else ""
    high = limits.get("le")
    if high is None:
        return f"{low} or more" if "ge" in limits else low
    return f"{low}, at most {high}" if "gt" in limits else f"{low} to {high}"


def sections() -> dict[str, list[str]]:
    """Heading -> field names, by the comments of the class."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in inspect.getsource(Settings).splitlines():
        if comment := re.fullmatch(r"    # (.+)", line):
            heading = comment[1]
        elif (field := re.match(r"    (\w+): ", line)) and field[1] in Settings.model_fields:
            found.setdefault(heading, []).append(field[1])
    return found


@cache
def sources() -> str:
    """All code that may use a setting, the settings class's own properties included."""
    paths = [*(ROOT / "order_manager").rglob("*.py"), ROOT / "celeryconfig.py"]
    others = [path.read_text() for path in paths if path.name != "settings.py"]
    properties = inspect.getsource(Settings).partition("@cached_property")[2]
    return "\n".join([*others, properties.replace("self.", "settings.")])


def effect_of(name: str, field: FieldInfo) -> str:
    used = re.search(rf"settings\.{name}\b", sources()) or names_of(field)[0] in sources()
    return (field.description or "") + ("" if used else f". {NO_EFFECT}")


def without_unit(effect: str, unit: str) -> str:
    """For a table that has a column for the unit."""
    return effect.removeprefix(unit).lstrip(", ") if unit else effect


def row(*cells: Any) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def settings_page() -> str:
    page = ""
    for heading, names in sections().items():
        page += f"\n## {heading}\n\n{row('Name', 'Unit', 'Default', 'Values', 'Effect')}{'|---' * 5}|\n"
        for name in names:
            field = Settings.model_fields[name]
            spellings = " or ".join(code(spelling) for spelling in names_of(field))
            page += row(
                spellings,
                unit_of(name, field),
                code(default_of(field)),
                allowed_of(field),
                without_unit(effect_of(name, field), unit_of(name, field)),
            )
    return HEAD + (NO_EFFECT_NOTE if NO_EFFECT in page else "") + page


def env_example() -> str:
    text = ENV_HEAD
    for heading, names in sections().items():
        text += f"\n# --- {heading} ---\n"
        for name in names:
            field = Settings.model_fields[name]
            unit, effect, allowed = unit_of(name, field), effect_of(name, field), allowed_of(field)
            text += f"\n# {effect if effect.startswith(unit) else f'{unit}: {effect}'}"
            text += f" ({allowed})\n" if allowed else "\n"
            text += f"#{names_of(field)[0]}={default_of(field)}\n"
    return text


def documents() -> dict[Path, str]:
    """Each generated file and what it should say."""
    return {ROOT / "docs" / "settings.md": settings_page(), ROOT / "env.example": env_example()}


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text)
