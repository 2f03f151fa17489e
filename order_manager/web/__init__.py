"""The REST API: `gunicorn 'order_manager.web:create_app()'`."""

from order_manager.web.app import create_app

__all__ = ["create_app"]
