"""The command ``allye-protocol``: messages, topics and schemas from a shell.

1. The exit status is the answer (:class:`~allye_protocol.cli.streams.Exit`); ``--json`` gives it to programs in full.
2. Input is bytes of unknown origin: no more than the protocol's limit is read, nothing of it ends in a traceback, and nothing
   of it reaches a terminal as a control character.
3. The command decides nothing itself: it calls the library's public functions and prints what they return.
"""
