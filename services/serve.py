"""One service in one process: `python -m services.serve NAME`, and what `relatieboek serve NAME` does."""

from __future__ import annotations

import signal
import sys

from events.errors import SetupError
from services.settings import SERVICES, Settings, load


def serve(name: str, settings: Settings) -> None:
    """Runs a service until SIGTERM or SIGINT; imports no other. Raises SetupError for what a person must mend."""
    if settings.up_pid is not None:
        # Ctrl-C reaches the whole process group; the supervisor decides who stops when, and says so by SIGTERM.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if name == "intake":
        from services.intake.app import main as intake

        intake(settings)
    elif name == "api":
        from services.api.app import main as api

        api(settings)
    elif name == "contact-alerts":
        from services.alerts.app import main as alerts

        alerts(settings)
    elif name == "insight":
        from services.projector.app import insight

        insight(settings)
    elif name == "notary":
        from services.notary.app import main as notary

        notary(settings)
    elif name == "workflows":
        from services.workflows.app import main as workflows

        workflows(settings)
    elif name in SERVICES:
        from services.projector.app import main as projector

        projector(settings, name.replace("-", "_"))
    else:
        raise SetupError(f"Onbekende dienst '{name}'. Er zijn: {', '.join(SERVICES)}.")


def main() -> None:
    """Exit code 2 and one line on stderr when a person must mend something."""
    try:
        serve(sys.argv[1] if len(sys.argv) == 2 else "", load())
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
