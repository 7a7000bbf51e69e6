"""The tests that the documentation shows to users pass, with warnings as errors and nothing but the plugin."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "tests"


def test_the_tests_that_a_user_would_write_pass(tmp_path: Path) -> None:
    options = ["-q", "-W", "error", "--strict-markers", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-B", "-m", "pytest", *options, str(EXAMPLES)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "6 passed" in outcome.stdout
