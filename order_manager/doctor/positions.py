"""Had a position to be set right?"""

from datetime import UTC

from sqlalchemy import Engine

from order_manager.database.adjustments import recent_adjustments
from order_manager.doctor.findings import Finding, ok, warning
from order_manager.domain.events import text


def look_at_positions(engine: Engine) -> list[Finding]:
    adjustments = recent_adjustments(engine)
    if not adjustments:
        return [ok("positions", "none had to be set right within 24 h")]
    said = "; ".join(
        f"{one.asset} {text(one.size_before)} -> {text(one.size_after)},"
        f" {one.created_at.astimezone(UTC):%H:%M} UTC, source {one.source}"
        for one in adjustments
    )
    mend = "find out why: operations.md, A position was not what we had stored"
    return [warning("positions", f"set right within 24 h: {said}", mend)]
