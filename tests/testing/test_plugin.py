"""The pytest plugin: found by its entry point, silent until it is asked, and a failing run can be had again."""

from __future__ import annotations

import re

import pytest

pytest_plugins = ["pytester"]

SEED_IN_NAME = """
    def test_it(allye_seed):
        assert allye_seed == {seed}
"""
FAILING = """
    def test_it(allye_world, allye_device):
        allye_device("dev-7")
        allye_world.settle()
        assert False
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Runs tests where every warning is an error."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(source: str, *arguments: str, ini: str = "", apart: bool = False) -> pytest.RunResult:
        pytester.makepyfile(source)
        pytester.makeini(f"[pytest]\nfilterwarnings = error\n{ini}")
        options = ("--strict-markers", "--strict-config", "-p", "no:cacheprovider")
        if apart:
            return pytester.runpytest_subprocess(*options, *arguments, timeout=60)
        return pytester.runpytest_inprocess(*options, *arguments)

    return run


def test_a_run_without_the_fixtures_does_not_load_the_library(run) -> None:
    source = """
        import sys

        def test_it(request):
            assert request.config.pluginmanager.has_plugin("allye")
            assert "allye_protocol" not in sys.modules
            assert "msgspec" not in sys.modules
    """
    outcome = run(source, apart=True)
    outcome.assert_outcomes(passed=1)
    assert "allye" not in outcome.stdout.str().replace("plugins: ", "").partition("collected")[2]


def test_the_fixtures_are_parts_of_one_world(run) -> None:
    source = """
        from datetime import timedelta

        def test_it(allye_world, allye_clock, allye_broker, allye_device, allye_cloud):
            first, second = allye_device(), allye_device("dev-2", versions=(1,), says_hello=False)
            allye_world.settle()
            plan = allye_cloud.plan("dev-2", [40_000])
            allye_broker.partition("dev-2")
            allye_world.run_for(timedelta(minutes=5))
            assert not second.transport.connected and first.transport.connected
            allye_broker.heal()
            allye_world.run_until(plan.end)
            assert allye_clock.now() == plan.end
            assert allye_world.result_of("dev-2", plan.start).actual_w == 40_000
    """
    run(source).assert_outcomes(passed=1)


def test_every_test_has_a_world_of_its_own(run) -> None:
    source = """
        import pytest

        @pytest.mark.parametrize("turn", [1, 2])
        def test_it(allye_world, allye_device, turn):
            allye_device()
            assert len(allye_world.actors) == 1
    """
    run(source).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("arguments", "ini", "seed"),
    [
        ((), "", 0),
        ((), "allye_seed = 5", 5),
        (("--allye-seed=7",), "", 7),
        (("--allye-seed=7",), "allye_seed = 5", 7),
        (("--allye-seed=7",), "allye_seed = random", 7),
    ],
)
def test_the_seed_is_that_of_the_command_line_or_of_the_configuration(run, arguments, ini: str, seed: int) -> None:
    run(SEED_IN_NAME.format(seed=seed), *arguments, ini=ini).assert_outcomes(passed=1)


def test_the_seed_of_a_marker_stays(run) -> None:
    source = """
        import pytest

        @pytest.mark.allye_seed(9)
        def test_it(allye_world):
            assert allye_world.seed == 9
    """
    run(source, "--allye-seed=7", ini="allye_seed = random").assert_outcomes(passed=1)


@pytest.mark.parametrize(("arguments", "ini"), [(("--allye-seed=x",), ""), ((), "allye_seed = -1")])
def test_a_seed_that_is_none_is_refused_before_any_test(run, arguments, ini: str) -> None:
    outcome = run("def test_it(): pass", *arguments, ini=ini)
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    assert "allye_seed is a number or 'random'" in outcome.stderr.str()


def test_a_failure_shows_its_seed_and_what_went_over_the_wire_and_can_be_had_again(run) -> None:
    first = run(FAILING, ini="allye_seed = random")
    first.assert_outcomes(failed=1)
    text = first.stdout.str()
    (seed,) = set(re.findall(r"the same again: --allye-seed=(\d+)", text))
    assert "allye world" in text
    assert "devices/dev-7/hello" in text
    again = run(FAILING, f"--allye-seed={seed}", ini="allye_seed = random").stdout.str()
    assert _traces(again) == _traces(text)


def test_random_seeds_differ(run) -> None:
    source = """
        import pytest

        @pytest.mark.parametrize("turn", range(3))
        def test_it(allye_seed, turn):
            assert False
    """
    text = run(source, "--allye-seed=random").stdout.str()
    assert len(set(re.findall(r"--allye-seed=(\d+)", text))) == 3


def test_nothing_is_shown_for_a_test_that_passes_or_has_no_world(run) -> None:
    source = """
        def test_passes(allye_world):
            pass

        def test_fails():
            assert False
    """
    outcome = run(source)
    outcome.assert_outcomes(passed=1, failed=1)
    assert "allye world" not in outcome.stdout.str()


def _traces(text: str) -> list[str]:
    return [line for line in text.splitlines() if re.match(r"\d\d \d\d:\d\d:\d\d\.\d{3} ", line)]
