"""The command: what it prints, what it keeps and how it ends."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from allye_cloud import commands
from allye_cloud.__main__ import main
from allye_cloud.database import Database
from allye_cloud.store import SqlCloudStore
from allye_protocol.clock import SystemClock
from allye_protocol.ids import DeviceId
from allye_protocol.transport.memory import MemoryTransport
from apps.cloud.tests.world import DAY, EVENING, REFUSAL, World
from tests.builders import HELLO

if TYPE_CHECKING:
    from pathlib import Path

REGISTRY = """
[defaults]
zone = "Europe/London"
capacity_wh = 300000
max_charge_w = 150000
max_discharge_w = 150000
[devices.a]
[devices.b]
"""


class Here:
    """A folder with a registry, prices of three days, and a configuration that stands at the evening before :data:`DAY`."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.config = folder / "cloud.toml"
        self.prices = folder / "prices.csv"
        (folder / "devices.toml").write_text(REGISTRY)
        rows = [
            f"2018-{month:02}-{day:02} {i // 2:02}:{i % 2 * 30:02},{5 + (i * 7) % 11}"
            for month, day in ((6, 30), (7, 1), (7, 2))
            for i in range(48)
        ]
        self.prices.write_text("\n".join(["time,price (p/kWh)", *rows]))
        self.config.write_text(
            f"[store]\nurl = 'sqlite:///{folder}/cloud.db'\n[fleet]\nregistry = 'devices.toml'\n[prices]\npath = 'prices.csv'\n"
        )

    def run(self, *arguments: object) -> tuple[int, str, str]:
        code = main(["--config", str(self.config), *map(str, arguments)])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def json(self, *arguments: object) -> Any:
        code, out, err = self.run(*arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)


@pytest.fixture
def here(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    for name in [name for name in os.environ if name.startswith("ALLYE_CLOUD_")]:
        monkeypatch.delenv(name)
    # Without a broker the commands see the world of a test; the time stands still there.
    monkeypatch.setattr(SystemClock, "now", lambda self, not_after=None: EVENING)
    return Here(tmp_path, capsys)


def test_plan_shows_margins_with_yardsticks_and_keeps_the_plans(here: Here) -> None:
    code, out, err = here.run("plan", "--day", DAY)
    assert (code, err) == (0, "")
    for words in ("a ", "b ", "margin", "GBP", "cycles", "cheapest", "dearest", "yesterday's", "2 devices"):
        assert words in out
    assert here.json("status", "--day", DAY)["funnel"]["submitted"] == 0


def test_plan_as_json_has_every_half_hour(here: Here) -> None:
    plans = here.json("plan", "--day", DAY)
    assert [(plan["device_id"], len(plan["watts"]), len(plan["soc_pct"])) for plan in plans] == [("a", 48, 49), ("b", 48, 49)]


def test_plan_of_one_device_shows_its_half_hours(here: Here) -> None:
    code, out, _ = here.run("plan", "--day", DAY, "--device", "b")
    assert code == 0
    assert "00:30 BST" in out
    assert "23:30 BST" in out
    assert [line["device_id"] for line in here.json("status")["devices"]] == ["b"]


def test_a_dry_run_keeps_nothing(here: Here) -> None:
    assert here.run("plan", "--day", DAY, "--dry-run")[0] == 0
    assert not (here.folder / "cloud.db").exists()
    here.run("plan", "--day", "2018-06-30")
    assert here.run("plan", "--day", DAY, "--dry-run")[0] == 0
    assert here.json("status")["day"] == "2018-06-30"


@pytest.mark.parametrize("arguments", [["status"], ["publish", "--day", "2018-07-01"]])
def test_a_database_that_is_not_there_is_named_and_not_made(here: Here, arguments: list[str]) -> None:
    code, out, err = here.run(*arguments)
    assert (code, out) == (1, "")
    assert f"there is no database {here.folder}/cloud.db yet: make it with 'allye-cloud plan'" in err
    assert not (here.folder / "cloud.db").exists()


@pytest.mark.parametrize("arguments", [["plan", "--day", "2018-07-01"], ["serve"], ["status"]])
def test_a_folder_of_the_database_that_is_not_there_is_wrong_configuration(here: Here, arguments: list[str]) -> None:
    here.config.write_text(here.config.read_text().replace("/cloud.db", "/var/cloud.db"))
    code, out, err = here.run(*arguments)
    assert (code, out) == (2, "")
    assert f"store.url: there is no folder {here.folder}/var; make it" in err


def test_a_database_of_another_kind_is_wrong_configuration(here: Here) -> None:
    here.config.write_text("[store]\nurl = 'mysql://db/allye'")
    code, _, err = here.run("status")
    assert code == 2
    assert "store.url: cannot be used; a database is given as sqlite:///FILE" in err


def test_one_of_a_thing_is_not_several(here: Here) -> None:
    here.run("plan", "--day", DAY, "--device", "a")
    _, out, _ = here.run("publish", "--day", DAY)
    assert "1 device: 1 submitted" in out
    assert "1 schedule: 1 PENDING" in out


def test_a_plan_begins_where_the_day_before_ends(here: Here) -> None:
    before = here.json("plan", "--day", "2018-06-30")
    today = here.json("plan", "--day", DAY)
    assert [plan["soc_pct"][0] for plan in today] == pytest.approx([plan["soc_pct"][-1] for plan in before])


def test_publish_submits_once(here: Here) -> None:
    here.run("plan", "--day", DAY)
    assert here.json("publish", "--day", DAY) == {"day": "2018-07-01", "devices": {"submitted": 2}, "schedules": {"PENDING": 2}}
    assert here.json("publish", "--day", DAY)["devices"] == {"unchanged": 2}
    code, out, _ = here.run("publish", "--day", DAY)
    assert code == 0
    assert "2 unchanged" in out
    assert "serve" in out


def test_publish_of_a_day_that_is_over_is_not_as_wished(here: Here) -> None:
    here.run("plan", "--day", "2018-06-30")
    here.run("publish", "--day", "2018-06-30", "--device", "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SystemClock, "now", lambda self, not_after=None: EVENING.replace(month=7, day=9))
        code, out, _ = here.run("publish", "--day", "2018-06-30")
    assert code == 1
    assert "2 over" in out


@pytest.fixture
def fleet(here: Here, sqlite_database, monkeypatch: pytest.MonkeyPatch) -> World:
    """Devices beside the command, which reaches them through a broker in memory."""
    world = World(sqlite_database)

    class Transport(MemoryTransport):
        """Gives the devices a turn whenever the service waits."""

        def wait(self, timeout_s: float | None):
            for peer in world.peers.values():
                peer.step(EVENING)
            return super().wait(0)

    monkeypatch.setattr(commands, "PahoTransport", lambda options: Transport(world.broker, options.client_id))
    world.connect()
    return world


def test_publish_and_wait_ends_when_all_is_applied(here: Here, fleet: World) -> None:
    here.run("plan", "--day", DAY)
    code, out, _ = here.run("publish", "--day", DAY, "--wait")
    assert code == 0
    assert "2 APPLIED" in out
    assert [len(peer.admitted) for peer in fleet.peers.values()] == [1, 1]
    assert here.json("status")["funnel"]["applied"] == 2
    assert here.run("publish", "--day", DAY, "--wait")[0] == 0


def test_publish_and_wait_is_not_as_wished_when_a_device_refuses(here: Here, fleet: World) -> None:
    fleet.peers["b"].refuses = REFUSAL
    here.run("plan", "--day", DAY)
    code, out, _ = here.run("publish", "--day", DAY, "--wait")
    assert code == 1
    assert "1 APPLIED, 1 DEAD" in out
    _, out, _ = here.run("status")
    assert "limit.power" in out
    assert "Dead letters" in out
    fleet.peers["b"].refuses = None
    assert here.run("publish", "--day", DAY, "--device", "b", "--redrive", "--wait")[0] == 0


def test_publish_and_wait_gives_up_after_the_timeout(here: Here, fleet: World) -> None:
    fleet.peers.clear()
    here.run("plan", "--day", DAY)
    code, out, _ = here.run("publish", "--day", DAY, "--wait", "--timeout", "0.3")
    assert code == 1
    assert "2 SENT" in out


def test_status_of_a_device_has_plan_and_reality(here: Here) -> None:
    here.run("plan", "--day", DAY)
    assert len(here.json("status", "--device", "a")["slots"]) == 48
    code, out, _ = here.run("status", "--device", "a")
    assert code == 0
    assert "never heard" in out
    assert "00:00 BST" in out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_well_on_a_signal(here: Here, fleet: World, number: signal.Signals) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    turns: list[int] = []
    fleet.peers["a"].step = lambda now: turns.append(1) or (os.kill(os.getpid(), number) if len(turns) == 3 else None)  # type: ignore[method-assign]
    watchdog = threading.Timer(30, os._exit, (9,))
    watchdog.start()
    try:
        code, _, err = here.run("serve")
    finally:
        watchdog.cancel()
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    assert code == 0
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert (events[0], events[-1]) == ("service_started", "service_stopped")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["plan", "--day", "2018-07-09"], 1, "no prices for"),
        (["plan", "--day", "2018-07-01", "--prices", "none.csv"], 1, "none.csv"),
        (["plan", "--day", "2018-07-01", "--device", "x"], 1, "no device 'x'"),
        (["publish", "--day", "2018-07-01"], 1, "allye-cloud plan"),
        (["status", "--day", "2018-07-01"], 1, "allye-cloud plan"),
        (["status", "--day", "2018-07-01", "--device", "x"], 1, "device x"),
    ],
)
def test_bad_input_is_said_in_one_line(here: Here, arguments: list[str], code: int, words: str) -> None:
    here.run("plan", "--day", "2018-06-30", "--no-yardsticks")
    found, out, err = here.run(*arguments)
    assert (found, out) == (code, "")
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("text", ["[broker]\nport = 0", "what", "[x]"])
def test_a_bad_configuration_is_wrong_usage(here: Here, text: str) -> None:
    here.config.write_text(text)
    code, _, err = here.run("status")
    assert code == 2
    assert "cloud.toml" in err


def test_a_database_that_cannot_be_used_is_said_in_one_line(here: Here) -> None:
    (here.folder / "cloud.db").write_bytes(b"x" * 5000)
    code, _, err = here.run("status")
    assert code == 1
    assert "store.corrupt" in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["plan"],
        ["plan", "--day", "01.07.2018"],
        ["publish", "--day", "2018-07-01", "--timeout", "-1"],
        ["status", "-x"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("command", [[], ["plan"], ["publish"], ["serve"], ["status"]])
def test_help_has_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    assert f"  allye-cloud {'serve' if not command else command[0]}" in capsys.readouterr().out.replace(
        "--config cloud.toml ", ""
    )


def test_ctrl_c_ends_with_130(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_args: object, **_options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "status", interrupted)
    code, _, err = here.run("status")
    assert (code, err) == (130, "allye-cloud: interrupted\n")


def test_a_cancel_is_stored_for_the_service_and_says_what_it_takes_back(here: Here) -> None:
    here.run("plan", "--day", DAY)
    here.run("publish", "--day", DAY)
    hello = msgspec.structs.replace(HELLO, device_id=DeviceId("a"))
    with closing(Database(f"sqlite:///{here.folder}/cloud.db")) as database:
        SqlCloudStore(database).keep_hello(hello, EVENING)
    stored = here.json("cancel", "--device", "a", "--schedule", "a_20180701_r1_p1", "--reason", "grid outage")
    assert stored == {"delivery_id": f"a#{stored['sequence']}", "device_id": "a", "sequence": stored["sequence"]}
    (line,) = [line for line in here.json("status", "--day", DAY)["schedules"] if line["device_id"] == "a"]
    assert line["state"] == "CANCELLED"
    code, out, _ = here.run("cancel", "--device", "a", "--from", "2018-07-01T12:00:00+01:00")
    assert code == 0
    assert "everything from 2018-07-01T11:00:00Z on" in out
    code, out, _ = here.run("status", "--day", DAY)
    assert code == 0
    assert "everything from 2018-07-01 11:00:00 UTC on" in out
    assert [line["state"] for line in here.json("status", "--day", DAY)["cancels"]] == ["PENDING", "PENDING"]


def test_what_cannot_be_cancelled_says_what_to_do(here: Here) -> None:
    here.run("plan", "--day", DAY)
    here.run("publish", "--day", DAY)
    code, _, err = here.run("cancel", "--device", "a", "--schedule", "a_20180701_r1_p1")  # it never said hello: version 1
    assert code == 1
    assert "version.downgrade_loses" in err
    assert "rate of 0" in err
    code, _, err = here.run("cancel", "--device", "nobody", "--from", "2018-07-01T12:00:00Z")
    assert (code, "there is no device 'nobody'" in err) == (1, True)
    code, _, err = here.run("publish", "--day", DAY, "--device", "nobody")
    assert (code, f"there is no plan for {DAY} and device nobody" in err) == (1, True)
    code, _, err = here.run("cancel", "--device", "b", "--schedule", "a_20180701_r1_p1")
    assert code == 1
    assert "was never submitted for device b" in err
    with pytest.raises(SystemExit):
        main(["cancel", "--device", "a", "--from", "2018-07-01T12:00:00"])
