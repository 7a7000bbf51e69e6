"""Sphinx configuration. Warnings are errors (`tox run -e docs`)."""

import os
import subprocess
import sys
from importlib.metadata import version as version_of
from pathlib import Path

from allye_protocol.cli.completion import levels
from allye_protocol.cli.main import parser
from allye_protocol.delivery import TRANSITIONS, Cause, State

project = "Allye device protocol"
author = "The Allye device protocol authors"
project_copyright = "2026, The Allye device protocol authors"
release = version = version_of("allye-protocol")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "_generated"]
html_theme = "furo"
html_title = f"Allye device protocol {release}"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
# The standard library's index is not fetched: the documentation builds without a network.
intersphinx_mapping = {}
nitpicky = False
# Names such as Schedule are those of two versions: which one a signature means is in its module's path.
suppress_warnings = ["ref.python"]

# The table in the text is drawn from the table in the code.
generated = Path(__file__).parent / "_generated"
generated.mkdir(exist_ok=True)
rows = [f"| state | {' | '.join(Cause)} |", "|---" * (len(Cause) + 1) + "|"]
rows += [f"| {state} | {' | '.join(TRANSITIONS.get((state, cause), '-') for cause in Cause)} |" for state in State]
(generated / "transitions.md").write_text("\n".join(rows) + "\n", encoding="utf-8")

# So are the pages of help, from the programs themselves.
COMMANDS = {
    "allye-protocol": [path.strip() for path, _ in levels(parser())],
    "allye-device": ("", "run", "status", "drivers"),
    "allye-cloud": ("", "plan", "publish", "cancel", "serve", "status"),
    "allye-demo": ("",),
}


def help_of(program: str, command: str) -> str:
    """What a command prints when it is asked for help."""
    arguments = [sys.executable, "-m", program.replace("-", "_"), *command.split(), "--help"]
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True).stdout


for program, commands in COMMANDS.items():
    sections = [f"## `{f'{program} {command}'.strip()}`\n\n```text\n{help_of(program, command)}```\n" for command in commands]
    (generated / f"{program}.md").write_text("\n".join(sections), encoding="utf-8")
