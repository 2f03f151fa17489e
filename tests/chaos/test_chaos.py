"""The short form: one storm per broker. `make chaos` is the long one."""

import pytest

from order_manager.embedded.rabbitmq import is_installed as rabbitmq_is_installed
from tests.chaos.plan import RABBITMQ, REDIS, Plan
from tests.chaos.run import run


@pytest.mark.slow
@pytest.mark.parametrize("broker", [REDIS, pytest.param(RABBITMQ, marks=pytest.mark.rabbitmq)])
def test_a_short_storm_breaks_no_promise(broker: str) -> None:
    if broker == RABBITMQ and not rabbitmq_is_installed():
        pytest.skip("no RabbitMQ: apt-get install rabbitmq-server")
    result = run(Plan(broker=broker, seed=7, signals=150, kills=5, faults=20, seconds=15), say=print)

    assert result.is_kept, (result.broken, result.folder)
    assert result.kills >= 5
    assert result.faults >= 15
