"""Another implementation: a process that is asked one JSON object a line, and answers one JSON object a line.

1. One question at a time: the next is written when the answer has come. An answer names the ``id`` of its question.
2. A program that ends, hangs, or prints what is no answer has failed the question. It is ended and begun anew for the next,
   so one fault costs one vector; after :data:`MAX_FAULTS` in a row it is not begun again.
3. Whatever the program does, a question is over within the timeout, and what is read of one line is bounded.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Any, Final, Self

import msgspec

from allye_protocol.conformance.report import NOT_ASKED, Claims, FaultError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

__all__ = ["MAX_FAULTS", "Program"]

MAX_FAULTS: Final = 5
MAX_LINE_BYTES: Final = 4 * 1024 * 1024
_SHOWN_CHARS: Final = 120
_ANSWERS: Final = frozenset({"ok", "error", "unsupported"})
_GRACE_S: Final = 1.0


class Program:
    """An implementation behind the line protocol. Use it as a context manager, so that it is ended.

    :param command: the program and its arguments; no shell is involved. Its standard error output is this process's own.
    :param timeout_s: how long an answer may take, s.
    """

    def __init__(self, command: Sequence[str], *, timeout_s: float = 10.0) -> None:
        self._command: Final = list(command)
        self._timeout_s: Final = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._asked = 0
        self._faults = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end(_GRACE_S)

    def describe(self) -> Claims:
        """Ask what it can be asked.

        :raises FaultError: it cannot be started, or does not say.
        """
        response = self.ask("describe", {})
        try:
            return msgspec.convert(response["ok"], Claims)
        except (KeyError, msgspec.ValidationError) as error:
            raise FaultError(f"describe: {error}: {_shown(json.dumps(response))}") from error

    def ask(self, op: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Ask one question.

        :raises FaultError: no answer came; the program has been ended.
        """
        if self._faults >= MAX_FAULTS:
            raise FaultError(f"{NOT_ASKED}: the program had failed {MAX_FAULTS} times in a row")
        self._asked += 1
        try:
            process = self._process or self._start()
            response = self._answer(process, {"id": self._asked, "op": op, **parameters})
        except FaultError:
            self._faults += 1
            self._end(0.0)
            raise
        self._faults = 0
        return response

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            # A session of its own, so that what it starts ends with it.
            process = subprocess.Popen(  # noqa: S603 - the user's own command is what is to be run
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise FaultError(f"cannot start {self._command[0]}: {error.strerror or error}") from error
        self._lines = queue.SimpleQueue()
        self._threads = []
        self._run(_read, process.stdout, self._lines)
        self._process = process
        return process

    def _run(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]

    def _answer(self, process: subprocess.Popen[bytes], question: dict[str, Any]) -> dict[str, Any]:
        line = json.dumps(question, separators=(",", ":")).encode() + b"\n"
        # A program that does not read would block a long question for ever: its end, after the timeout, ends the writing too.
        self._run(_write, process.stdin, line)
        try:
            read = self._lines.get(timeout=self._timeout_s)
        except queue.Empty:
            raise FaultError(f"no answer within {self._timeout_s:g} s") from None
        if not read:
            raise FaultError(f"the program ended without an answer ({_ending(process)})")
        if not read.endswith(b"\n"):
            raise FaultError(f"no whole line: {_shown(read)}")
        try:
            response = json.loads(read)
        except (ValueError, RecursionError):
            raise FaultError(f"not a line of JSON: {_shown(read)}") from None
        if not isinstance(response, dict) or len(_ANSWERS & set(response)) != 1:
            raise FaultError(f"not an answer with one of ok, error and unsupported: {_shown(read)}")
        if response.get("id") != question["id"]:
            raise FaultError(f"the answer to another question, {response.get('id')!r} and not {question['id']}: {_shown(read)}")
        return response

    def _end(self, grace_s: float) -> None:
        """End the program and what it started; with some grace, it may end by itself once its input is closed."""
        process, self._process = self._process, None
        if process is None:
            return
        if grace_s:
            self._run(_close, process.stdin)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace_s)
        if os.name == "posix":
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        self._run(_close, process.stdin)
        # What outlives its process group may hold the pipes open for ever: the threads are not waited for long.
        for thread in self._threads:
            thread.join(_GRACE_S)


def _close(pipe: IO[bytes] | None) -> None:
    """Waits for a question that is still being written, so it is no work for the one who asks."""
    with contextlib.suppress(OSError, ValueError):
        if pipe is not None:
            pipe.close()


def _write(pipe: IO[bytes] | None, line: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):
        if pipe is not None:
            pipe.write(line)
            pipe.flush()


def _read(pipe: IO[bytes] | None, lines: queue.SimpleQueue[bytes]) -> None:
    """Hand on what the program prints, line by line; nothing stands for its end."""
    with contextlib.suppress(OSError, ValueError):
        while pipe is not None and (line := pipe.readline(MAX_LINE_BYTES)):
            lines.put(line)
    lines.put(b"")
    _close(pipe)


def _ending(process: subprocess.Popen[bytes]) -> str:
    try:
        status = process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        return "it closed its output and runs on"
    return f"signal {-status}" if status < 0 else f"status {status}"


def _shown(text: bytes | str) -> str:
    shown = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    return repr(shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}...")
