"""The classes of the official runtime, built from the shapes at first use.

There is no generated module: one made by ``protoc`` refuses to be imported by a runtime older than itself, and registers its
file in the process's one pool, where an application that generates its own code from the published ``allye.proto`` would
collide with it. These classes have a pool of their own and work with every runtime that the extra allows (ADR 20). That
``protoc`` reads the published file as this very descriptor is tested.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from allye_protocol.codec.protobuf.shape import ENUMS, NOBODYS, PACKAGE, SHAPES, Field, Scalar, Shape, word_of
from allye_protocol.extras import require

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FILE_NAME", "Runtime", "file_descriptor", "runtime"]

FILE_NAME: Final = "allye.proto"
_ENTRY: Final = "MetadataEntry"


class Runtime:
    """What is needed of the runtime.

    :ivar classes: the message class for each struct.
    :ivar decode_error: what its parser raises.
    """

    def __init__(self) -> None:
        pools = require("google.protobuf.descriptor_pool", "protobuf")
        factory = require("google.protobuf.message_factory", "protobuf")
        self.decode_error: type[Exception] = require("google.protobuf.message", "protobuf").DecodeError
        pool = pools.DescriptorPool()
        pool.AddSerializedFile(file_descriptor().SerializeToString())
        self.classes: Mapping[type, Any] = {
            struct: factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{struct.__name__}")) for struct in SHAPES
        }


@cache
def runtime() -> Runtime:
    """The classes, built once in a process.

    :raises ImportError: with the pip command to run, when protobuf is not installed.
    """
    return Runtime()


def file_descriptor() -> Any:
    """The ``google.protobuf.FileDescriptorProto`` of all messages, as ``protoc`` makes it of the published file.

    :raises ImportError: with the pip command to run, when protobuf is not installed.
    """
    descriptors = require("google.protobuf.descriptor_pb2", "protobuf")
    file = descriptors.FileDescriptorProto(name=FILE_NAME, package=PACKAGE, syntax="proto3")
    for shape in SHAPES.values():
        _add_message(file.message_type.add(name=shape.struct.__name__), shape, descriptors.FieldDescriptorProto)
    for enum, numbers in ENUMS.items():
        described = file.enum_type.add(name=enum.__name__)
        described.value.add(name=word_of(enum), number=0)
        for member, number in numbers.items():
            described.value.add(name=word_of(enum, member), number=number)
    return file


def _add_message(described: Any, shape: Shape, kinds: Any) -> None:
    for field in shape.fields:
        added = described.field.add(name=field.name, number=field.number, **_type_of(field, shape, kinds))
        if added.label == kinds.LABEL_OPTIONAL:
            # Presence of a singular field is, in a descriptor, a choice of one: what `optional` stands for.
            added.proto3_optional = True
            added.oneof_index = len(described.oneof_decl)
            described.oneof_decl.add(name=f"_{field.name}")
    if any(field.type is Scalar.LABELS for field in shape.fields):
        entry = described.nested_type.add(name=_ENTRY)
        entry.options.map_entry = True
        for number, name in enumerate(("key", "value"), start=1):
            entry.field.add(name=name, number=number, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    if shape.fields[-1].number > NOBODYS[0]:
        for number in NOBODYS:
            described.reserved_range.add(start=number, end=number + 1)


def _type_of(field: Field, shape: Shape, kinds: Any) -> dict[str, Any]:
    label = kinds.LABEL_REPEATED if field.repeated or field.type is Scalar.LABELS else kinds.LABEL_OPTIONAL
    match field.type:
        case Scalar.LABELS:
            return {"label": label, "type": kinds.TYPE_MESSAGE, "type_name": f".{PACKAGE}.{shape.struct.__name__}.{_ENTRY}"}
        case Scalar.INSTANT:
            return {"label": label, "type": kinds.TYPE_INT64}
        case Scalar() as scalar:
            return {"label": label, "type": getattr(kinds, f"TYPE_{scalar.name}")}
        case _:
            kind = kinds.TYPE_ENUM if field.type in ENUMS else kinds.TYPE_MESSAGE
            return {"label": label, "type": kind, "type_name": f".{PACKAGE}.{field.type.__name__}"}
