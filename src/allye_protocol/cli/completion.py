"""``completion``: a script that completes the command line in a shell, written from the grammar."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from allye_protocol.cli.grammar import NAME
from allye_protocol.cli.streams import Exit, put, put_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from allye_protocol.cli.grammar import Commands

__all__ = ["add", "levels", "script"]

_FUNCTION: Final = "_allye_protocol"
_ZSH_START: Final = ("autoload -U +X bashcompinit && bashcompinit", "autoload -U +X compinit && compinit")


def add(commands: Commands, grammar: Callable[[], argparse.ArgumentParser]) -> None:
    """Add the command.

    :param grammar: makes the grammar of the whole command line.
    """
    completion = commands.add(
        "completion",
        lambda args: _completion(args, script(grammar(), args.shell)),
        "print a script that completes the command line in a shell",
        "It is static: it knows the commands, options and their values, and otherwise completes files.",
        [
            "completion bash > ~/.allye-completion.bash",
            'eval "$(allye-protocol completion zsh)"',
        ],
    )
    completion.add_argument("shell", choices=["bash", "zsh"], help="bash, zsh")


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for one shell.

    :param parser: the grammar of the whole command line.
    :param shell: ``bash`` or ``zsh``, which runs the same script by its emulation.
    """
    grammars = dict(levels(parser))
    values = {(path, option): found for path, level in grammars.items() for option, found in _values(level)}
    lines = [
        *(_ZSH_START if shell == "zsh" else ()),
        f"{_FUNCTION}() {{",
        '  local path="" word cur="${COMP_WORDS[COMP_CWORD]}" words=""',
        '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        '    case "$path $word" in',
        *(f'      "{path}") path="{path}" ;;' for path in grammars if path),
        "    esac",
        "  done",
        '  case "$path:${COMP_WORDS[COMP_CWORD-1]}" in',
        *(f'    "{path}:{option}") words="{" ".join(found)}" ;;' for (path, option), found in values.items()),
        '    *) case "$path" in',
        *(f'      "{path}") words="{" ".join(_words(level))}" ;;' for path, level in grammars.items()),
        "    esac ;;",
        "  esac",
        '  COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        "}",
        f"complete -o default -F {_FUNCTION} {NAME}",
    ]
    return "\n".join(lines)


def _completion(args: argparse.Namespace, text: str) -> Exit:
    if args.json:
        put_json({"shell": args.shell, "script": text})
        return Exit.OK
    for line in text.splitlines():
        put(line)
    return Exit.OK


def levels(parser: argparse.ArgumentParser, path: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command of a grammar by the words that lead to it, each after a space; the program itself has none.

    :param parser: the grammar.
    :param path: the words that lead to it.
    """
    yield path, parser
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to read a grammar
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, inner in action.choices.items():
                yield from levels(inner, f"{path} {name}")


def _values(parser: argparse.ArgumentParser) -> Iterator[tuple[str, list[str]]]:
    """The options that take one of a few values."""
    for action in parser._actions:  # noqa: SLF001
        if action.choices and action.option_strings:
            for option in action.option_strings:
                yield option, list(map(str, action.choices))


def _words(parser: argparse.ArgumentParser) -> Iterator[str]:
    """What may come next: commands, options, and values of arguments that take one of a few."""
    for action in parser._actions:  # noqa: SLF001
        yield from action.option_strings
        if action.choices and not action.option_strings:
            yield from map(str, action.choices)
