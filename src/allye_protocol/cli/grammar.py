"""How commands are declared: each with its help, examples and ``--json``."""

from __future__ import annotations

import argparse
from textwrap import fill
from typing import TYPE_CHECKING, Final, NoReturn

from allye_protocol.cli.streams import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from allye_protocol.cli.streams import Exit

__all__ = ["HELP_COLUMNS", "NAME", "STATUS", "Commands", "Parser"]

NAME: Final = "allye-protocol"
STATUS: Final = "exit status: 0 valid, 1 invalid, 2 usage, or a file that cannot be used"
HELP_COLUMNS: Final = 78


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are safe for a terminal."""

    def error(self, message: str) -> NoReturn:
        """End with status 2, showing nothing of the arguments that a terminal could act on."""
        super().error("\n".join(map(printable, message.splitlines())))


class Commands:
    """A level of commands, each with its help and examples.

    :param parser: the parser that the commands belong to.
    :param prefix: the command line up to this level.
    """

    def __init__(self, parser: argparse.ArgumentParser, prefix: str = NAME) -> None:
        self._prefix: Final = prefix
        self._choices: Final = parser.add_subparsers(metavar="COMMAND", required=True, title="commands", parser_class=Parser)

    def add(
        self,
        name: str,
        run: Callable[[argparse.Namespace], Exit],
        summary: str,
        more: str,
        examples: Sequence[str],
        *,
        has_json: bool = True,
    ) -> argparse.ArgumentParser:
        """Add a command.

        :param name: its name.
        :param run: what it does.
        :param summary: one line on it, beginning in lower case.
        :param more: what else its help says.
        :param examples: command lines; the program's name is put before one that has it nowhere.
        :param has_json: whether there is an answer that ``--json`` could give to programs.
        """
        made = self._made(name, summary, more, examples)
        if has_json:
            made.add_argument("--json", action="store_true", help="print one JSON document for programs")
        made.set_defaults(run=run)
        return made

    def group(self, name: str, summary: str, more: str, examples: Sequence[str]) -> Commands:
        """Add a level of commands under a name. Parameters as for :meth:`add`."""
        return Commands(self._made(name, summary, more, examples), f"{self._prefix} {name}")

    def _made(self, name: str, summary: str, more: str, examples: Sequence[str]) -> argparse.ArgumentParser:
        lines = "\n".join(f"  {line if NAME in line else f'{NAME} {line}'}" for line in examples)
        return self._choices.add_parser(
            name,
            help=summary,
            description=fill(f"{summary[0].upper()}{summary[1:]}. {more}", HELP_COLUMNS),
            epilog=f"examples:\n{lines}\n\n{STATUS}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
