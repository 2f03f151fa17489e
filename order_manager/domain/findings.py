"""Findings: what one rule saw, whether it holds, and how to say no when it does not."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from order_manager.domain.state import Check, Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule with its numbers. `message` is the rejection's sentence, used only when it did not pass."""

    rule: str
    passed: bool
    limit: str
    value: str
    message: str
    code: str | None = None  # the rejection's machine code; None: the rule's own name

    @property
    def check(self) -> Check:
        return Check(rule=self.rule, limit=self.limit, value=self.value, passed=self.passed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The checks made so far, and the no if one failed: nothing is checked after the first breach."""

    checks: tuple[Check, ...] = ()
    rejection: Rejection | None = None

    def then(self, findings: Iterable[Finding]) -> "Audit":
        """With `findings` added, up to and including the first that did not pass."""
        if self.rejection is not None:
            return self
        checks = self.checks
        for finding in findings:
            checks += (finding.check,)
            if not finding.passed:
                return Audit(checks=checks, rejection=_rejection(finding, checks))
        return replace(self, checks=checks)


def _rejection(finding: Finding, checks: tuple[Check, ...]) -> Rejection:
    return Rejection(
        code=finding.code or finding.rule,
        message=finding.message,
        limit=finding.limit,
        value=finding.value,
        checks=checks,
    )


def at_most(rule: str, value: Decimal, limit: Decimal, message: str, *, code: str | None = None) -> Finding:
    """Passes when `value` does not exceed `limit`; `message` may use {value} and {limit}."""
    return _measured(rule, value <= limit, value, limit, message, code)


def at_least(rule: str, value: Decimal, limit: Decimal, message: str, *, code: str | None = None) -> Finding:
    """Passes when `value` is not below `limit`; `message` may use {value} and {limit}."""
    return _measured(rule, value >= limit, value, limit, message, code)


def _measured(
    rule: str, passed: bool, value: Decimal, limit: Decimal, message: str, code: str | None
) -> Finding:
    numbers = {"value": f"{value:f}", "limit": f"{limit:f}"}
    return Finding(rule=rule, passed=passed, message=message.format(**numbers), code=code, **numbers)
