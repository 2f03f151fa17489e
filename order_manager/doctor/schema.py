"""Is the database's schema the one of this code?"""

from sqlalchemy import Engine

from order_manager.database.migrations import head_revision, stored_revision
from order_manager.doctor.findings import Finding, ok, problem


def look_at_schema(engine: Engine) -> list[Finding]:
    head, stored = head_revision(), stored_revision(engine)
    if stored == head:
        return [ok("schema", f"revision {head}, as the code has it")]
    if stored is None:
        return [problem("schema", "the database has no tables of ours", "run order-manager migrate")]
    return [
        problem(
            "schema",
            f"the database has revision {stored}, the code {head}",
            "run order-manager migrate; if the database is ahead, deploy the release that it belongs to",
        )
    ]
