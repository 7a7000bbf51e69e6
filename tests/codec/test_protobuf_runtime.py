"""The classes of the runtime: of their own pool, and the same in a process."""

from __future__ import annotations

from google.protobuf import descriptor_pool

from allye_protocol.codec.protobuf.runtime import FILE_NAME, file_descriptor, runtime
from allye_protocol.codec.protobuf.shape import PACKAGE, SHAPES


def test_there_is_a_class_for_every_shape() -> None:
    classes = runtime().classes
    assert {struct: class_.DESCRIPTOR.full_name for struct, class_ in classes.items()} == {
        struct: f"{PACKAGE}.{struct.__name__}" for struct in SHAPES
    }
    assert runtime() is runtime()


def test_an_application_can_have_its_own_code_of_the_same_file() -> None:
    """The runtime allows one file of a name in a pool, and generated code always takes the default one."""
    runtime()
    theirs = file_descriptor()
    theirs.message_type[0].field[0].name = "changed"
    theirs.message_type[0].oneof_decl[0].name = "_changed"
    descriptor_pool.Default().AddSerializedFile(theirs.SerializeToString())
    assert descriptor_pool.Default().FindFileByName(FILE_NAME).package == PACKAGE
    runtime.cache_clear()
    assert runtime().classes[next(iter(SHAPES))].DESCRIPTOR.fields[0].name == "version"


def test_every_singular_field_has_presence() -> None:
    for class_ in runtime().classes.values():
        for field in class_.DESCRIPTOR.fields:
            described = next(
                each
                for message in file_descriptor().message_type
                if message.name == class_.DESCRIPTOR.name
                for each in message.field
                if each.name == field.name
            )
            assert field.has_presence is (described.label == described.LABEL_OPTIONAL)
