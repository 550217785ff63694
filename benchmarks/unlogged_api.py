"""The service api without its access log, only to be measured against: `python -m benchmarks.unlogged_api`."""

from __future__ import annotations

from unittest.mock import patch

from starlette.types import ASGIApp

from services.api import site
from services.api.app import main
from services.settings import load


def unlogged(app: ASGIApp, *_: object) -> ASGIApp:
    return app


if __name__ == "__main__":
    with patch.object(site, "AccessLog", unlogged):
        main(load())
