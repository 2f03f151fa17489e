"""A process is called by its command line."""

import pytest

from order_manager.process_name import process_name


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/v/lib/celery/__main__.py -A order_manager worker -c 1 -n lane-1@%h -Q orders", "lane-1"),
        ("/v/bin/celery -A order_manager worker --hostname=lane@far", "lane"),
        ("/v/bin/celery -A order_manager worker", "worker"),
        ("/v/bin/celery -A order_manager beat -s schedule", "beat"),
        ("/v/lib/gunicorn/__main__.py -b 127.0.0.1:4600 order_manager.web:create_app()", "web"),
        ("/v/lib/order_manager/cli/__main__.py consumer", "consumer"),
        ("/v/bin/order-manager status --json", "status"),
        ("/v/bin/order-manager", ""),
        ("/v/lib/pytest/__main__.py -n 0", ""),
    ],
)
def test_a_process_is_called_as_up_calls_it(command: str, name: str) -> None:
    assert process_name(command.split()) == name
