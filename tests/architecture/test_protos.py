"""The protos say to tools what they say to people: the required fields, and the packages of generated code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    file
    for file in FileDescriptorSet.FromString((ROOT / "gen" / "descriptors.binpb").read_bytes()).file
    if file.package.startswith("tenantmesh.")
]
REQUIRED = re.compile(r"\bRequired(?=[.,])")
"""How a comment says that a field is required always, and not for some values of another one."""
FIELD = (FileDescriptorProto.MESSAGE_TYPE_FIELD_NUMBER, 2)


def fields(file: FileDescriptorProto) -> Iterator[tuple[str, FieldDescriptorProto, str]]:
    """The fields of a file, each with its full name and its comment."""
    for location in file.source_code_info.location:
        path = list(location.path)
        if tuple(path[::2]) == FIELD:
            message = file.message_type[path[1]]
            field = message.field[path[3]]
            yield f"{file.package}.{message.name}.{field.name}", field, location.leading_comments


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.name))
def test_a_field_is_marked_as_required_exactly_where_its_comment_says_so(file: FileDescriptorProto) -> None:
    marked = {
        name
        for name, field, _ in fields(file)
        if field_behavior_pb2.REQUIRED in field.options.Extensions[field_behavior_pb2.field_behavior]
    }
    said = {name for name, _, comment in fields(file) if REQUIRED.search(comment)}
    assert marked == said, "write `Required.` and [(google.api.field_behavior) = REQUIRED], or neither"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.name))
def test_generated_code_goes_where_the_conventions_of_its_language_want_it(file: FileDescriptorProto) -> None:
    folder, _, name = file.name.rpartition("/")
    outer = "".join(word.capitalize() for word in name.removesuffix(".proto").split("_"))
    assert file.options.go_package == f"{folder};{''.join(folder.split('/')[1:])}"
    assert file.options.java_package == f"com.{file.package}"
    assert file.options.java_outer_classname == f"{outer}Proto"
    assert file.options.java_multiple_files
