from hypothesis import HealthCheck, settings

from tests.ledger import ledger, module_ledger

__all__ = ["ledger", "module_ledger"]

# A busy machine is no counter-example, and the fixtures of these properties may be shared by the examples.
settings.register_profile(
    "database", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
