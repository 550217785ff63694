"""`relatieboek`: the command line. Commands import what they need when they run, so that `--help` is quick."""

from __future__ import annotations

import typer

from services.cli.accessing import accesses
from services.cli.accounts import account
from services.cli.auditing import audit
from services.cli.departments import department
from services.cli.failing import DutchGroup
from services.cli.importing import importing
from services.cli.keeping import rejected
from services.cli.keyring import keys
from services.cli.mails import mail
from services.cli.operating import clock, rebuild, reconcile
from services.cli.people import person
from services.cli.questions import question
from services.cli.reading import alerts, history, loops, relation, status, timeline
from services.cli.retaining import retention
from services.cli.running import migrate, serve, up
from services.cli.saving import backup, restore
from services.cli.schemas import schema
from services.cli.sending import send
from services.cli.waiting import parked

app = typer.Typer(
    cls=DutchGroup, help="Relatieboek: het boek van onze relaties.", no_args_is_help=True, add_completion=False,
    rich_markup_mode=None, pretty_exceptions_enable=False,
)  # fmt: skip

for command in (
    up,
    serve,
    send,
    status,
    timeline,
    alerts,
    loops,
    history,
    question,
    rebuild,
    reconcile,
    schema,
    migrate,
    backup,
    restore,
):
    app.command()(command)
app.add_typer(importing, name="import")
app.add_typer(relation, name="relation")
app.add_typer(rejected, name="rejected")
app.add_typer(parked, name="parked")
app.add_typer(mail, name="mail")
app.add_typer(clock, name="clock")
app.add_typer(audit, name="audit")
app.add_typer(accesses, name="accesses")
app.add_typer(department, name="department")
app.add_typer(keys, name="keys")
app.add_typer(account, name="account")
app.add_typer(person, name="person")
app.add_typer(retention, name="retention")

if __name__ == "__main__":
    app()
