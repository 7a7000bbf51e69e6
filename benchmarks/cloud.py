"""The cloud's work for one device: a schedule submitted, published in what the device speaks, and its two answers taken in.

``python benchmarks/cloud.py`` prints a table. The store is in memory, and a fleet goes through it in batches of 500, as the
cloud's service does it. Method: README.md beside this file.
"""

from __future__ import annotations

import argparse
import statistics
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from codec import NOW, SCHEDULE, SHORT
from raw_messages import RAW

from allye_protocol import CloudSession, Frame, Hello, convert
from allye_protocol.codec import JSON, MSGPACK, PROTOBUF, encode
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import Ack, AckStatus, Capabilities, v1
from allye_protocol.negotiation import Agreement
from allye_protocol.store.cloud import MemoryCloudStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH = 500
AGREEMENTS = [Agreement(version=1, content_type=JSON)]
AGREEMENTS += [Agreement(version=2, content_type=content_type) for content_type in (JSON, MSGPACK, PROTOBUF)]
CAPABILITIES = Capabilities(
    max_charge_w=200_000,
    max_discharge_w=200_000,
    capacity_wh=300_000,
    power_step_w=1,
    soc_min_pct=10.0,
    soc_max_pct=95.0,
    slot_lengths_s=(1800,),
)
DAY = convert.upgrade(SCHEDULE)


class Turn(NamedTuple):
    """Seconds a device for each part of the work, and for parsing a version-1 schedule without a check beside it."""

    raw: float
    submitted: float
    published: float
    answered: float


def zeros(count: int) -> bytes:
    """Trace ids cost what they cost; making them random is the operating system's part."""
    return bytes(count)


def batches(items: list[Any]) -> Iterator[list[Any]]:
    """A fleet's worth of something, a batch at a time."""
    return (items[index : index + BATCH] for index in range(0, len(items), BATCH))


def turn(agreement: Agreement, devices: int) -> Turn:
    """One fleet, from nothing to everything APPLIED."""
    store = MemoryCloudStore()
    session = CloudSession(store, random_bytes=zeros, uniform=lambda low, _: low)
    names = [DeviceId(f"device-{number}") for number in range(devices)]
    for name in names:
        store.keep_hello(_hello(name, agreement), NOW)
    plans = [msgspec.structs.replace(DAY, device_id=name, schedule_id=ScheduleId(f"plan-{name}")) for name in names]
    submitted = _timed(lambda: _submit(session, store, plans)) / devices
    frames: list[Frame] = []
    published = _timed(lambda: _publish(session, frames, devices)) / devices
    answers = [frame for name in names for frame in _answers(name, agreement)]
    answered = _timed(lambda: _take(session, answers)) / devices
    if {delivery.state.value for delivery in store.deliveries} != {"APPLIED"}:
        raise SystemExit("a schedule is not APPLIED")
    if {frame.content_type for frame in frames} != {agreement.content_type}:
        raise SystemExit("a frame is not in what was agreed")
    return Turn(_raw(devices), submitted, published, answered)


def _hello(name: DeviceId, agreement: Agreement) -> Hello:
    return Hello(
        device_id=name,
        versions=(agreement.version,),
        content_types=(agreement.content_type,),
        model="benchmark",
        firmware="1",
        library="allye-protocol",
        capabilities=CAPABILITIES,
    )


def _submit(session: CloudSession, store: MemoryCloudStore, plans: list[Any]) -> None:
    for some in batches(plans):
        with store.transaction():
            for plan in some:
                sequence = session.sequence_for(plan.device_id, NOW)
                session.submit(msgspec.structs.replace(plan, sequence=sequence), NOW)


def _publish(session: CloudSession, frames: list[Frame], devices: int) -> None:
    for dispatch in session.frames_to_send(NOW, devices):
        frames.append(dispatch.frame)
        session.sent(dispatch.delivery_id)


def _answers(name: DeviceId, agreement: Agreement) -> Iterator[Frame]:
    for status in (AckStatus.RECEIVED, AckStatus.APPLIED):
        answer = Ack(
            schedule_id=ScheduleId(f"plan-{name}"),
            device_id=name,
            version=2,
            status=status,
            timestamp=NOW,
            applied_at=NOW if status is AckStatus.APPLIED else None,
        )
        payload = convert.encode(answer, agreement.content_type, version=agreement.version)
        yield Frame(topic=f"devices/{name}/ack", payload=payload, content_type=agreement.content_type)


def _take(session: CloudSession, answers: list[Frame]) -> None:
    for some in batches(answers):
        session.receive_all(some, NOW + timedelta(seconds=1))


def _raw(loops: int) -> float:
    decode, payload = msgspec.json.Decoder(RAW[v1.Schedule]).decode, encode(SCHEDULE)
    return _timed(lambda: [decode(payload) for _ in range(loops)]) / loops


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Time the cloud's work for one device, by what the device speaks.")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--devices", type=int, default=1_000, help="devices a fleet")
    chosen = parser.parse_args()
    turns: dict[str, list[Turn]] = {}
    for _ in range(chosen.repetitions + 1):
        for agreement in AGREEMENTS:
            title = f"version {agreement.version}, {SHORT[agreement.content_type]}"
            turns.setdefault(title, []).append(turn(agreement, chosen.devices))
    print(f"{'median us a device':24} {'submit':>9} {'publish':>9} {'2 answers':>9} {'together':>9} {'raw v1':>8} {'ratio':>7}")
    for title, rows in turns.items():
        counted = rows[1:]
        parts = [statistics.median(row[column] for row in counted) * 1e6 for column in (1, 2, 3, 0)]
        ratio = statistics.median((row.submitted + row.published + row.answered) / row.raw for row in counted)
        submit, publish, answers, raw = parts
        print(
            f"{title:24} {submit:9.1f} {publish:9.1f} {answers:9.1f} {submit + publish + answers:9.1f} {raw:8.1f} {ratio:7.1f}"
        )


if __name__ == "__main__":
    main()
