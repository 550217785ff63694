"""`relatieboek`: the command line. A command's module is imported when it is asked for, so that each starts quickly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import typer

from services.cli.dutch_help import explain_in_dutch
from services.cli.failing import DutchGroup

# name -> module of services.cli, and what it is called there; in the order of `--help`
_WHERE: Final[Mapping[str, tuple[str, str]]] = {
    "up": ("running", "up"),
    "serve": ("running", "serve"),
    "send": ("sending", "send"),
    "status": ("reading", "status"),
    "timeline": ("reading", "timeline"),
    "alerts": ("reading", "alerts"),
    "loops": ("reading", "loops"),
    "history": ("reading", "history"),
    "question": ("questions", "question"),
    "contributors": ("staff", "contributors"),
    "staff-satisfaction": ("staff", "staff_satisfaction"),
    "rebuild": ("operating", "rebuild"),
    "reconcile": ("operating", "reconcile"),
    "schema": ("schemas", "schema"),
    "migrate": ("running", "migrate"),
    "backup": ("saving", "backup"),
    "restore": ("saving", "restore"),
    "import": ("importing", "importing"),
    "relation": ("reading", "relation"),
    "rejected": ("keeping", "rejected"),
    "parked": ("waiting", "parked"),
    "mail": ("mails", "mail"),
    "clock": ("operating", "clock"),
    "audit": ("auditing", "audit"),
    "accesses": ("accessing", "accesses"),
    "department": ("departments", "department"),
    "keys": ("keyring", "keys"),
    "account": ("accounts", "account"),
    "person": ("people", "person"),
    "retention": ("retaining", "retention"),
}


class _Commands(Mapping[str, Any]):
    """typer's commands by name, each made when it is first looked up."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module, called = _WHERE[name]
            found = getattr(import_module(f"services.cli.{module}"), called)
            holder = typer.Typer(add_completion=False, rich_markup_mode=None)
            if isinstance(found, typer.Typer):
                holder.add_typer(found, name=name)
            else:
                holder.command(name)(found)
            self._made[name] = typer.main.get_group(holder).commands[name]
            explain_in_dutch(self._made[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_WHERE)

    def __len__(self) -> int:
        return len(_WHERE)


class _Relatieboek(DutchGroup):
    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Commands()


app = typer.Typer(
    cls=_Relatieboek, help="Relatieboek: het boek van onze relaties.", no_args_is_help=True, add_completion=False,
    rich_markup_mode=None, pretty_exceptions_enable=False,
)  # fmt: skip


@app.callback()
def relatieboek() -> None:
    """Relatieboek: het boek van onze relaties."""


if __name__ == "__main__":
    app()
