"""Reading YAML: plain values with their places, and none of YAML's tricks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.config.document import DEEPEST, LARGEST_BYTES, MOST_VALUES, Document, parse, read_text
from agent.config.fault import FaultyConfigError, Mark

FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def refusal(text: str, loader: Any = FAST) -> str:
    """The faults of a text, whether or not it can be read to its end."""
    try:
        document = parse(text, "f", loader)
    except FaultyConfigError as error:
        return str(error)
    return "\n".join(fault.text("f") for fault in document.faults)


def test_given_plain_values_then_they_have_the_types_of_yaml_1_2() -> None:
    document = parse("{a: 1, b: -2.5, c: true, d: null, e: text, f: '1', g: [~, +3, .5, 1e3]}", "f")
    assert document.value["a"] == 1
    assert document.value["b"] == -2.5
    assert document.value["c"] is True
    assert document.value["d"] is None
    assert document.value["f"] == "1"
    assert document.value["g"] == [None, 3, 0.5, 1000.0]


def test_given_a_folded_text_then_it_is_one_line() -> None:
    assert parse("a: >-\n  x\n  y\n", "f").value == {"a": "x y"}


def test_given_values_then_each_has_the_place_an_editor_shows() -> None:
    document = parse("a:\n  - x\n  - b: 1\n", "f")
    assert document.mark(("a",)) == Mark(1, 1)
    assert document.mark(("a", 0)) == Mark(2, 5)
    assert document.mark(("a", 1, "b")) == Mark(3, 5)
    assert document.mark(("a", 1, "missing", "deeper")) == Mark(3, 5)
    assert Document().mark(("a",)) == Mark(1, 1)


def test_given_a_path_then_the_value_there_is_found_or_none() -> None:
    document = parse("a: [x, {b: 1}]", "f")
    assert document.at(("a", 1, "b")) == 1
    assert document.at(("a", 5)) is None
    assert document.at(("a", 0, "b")) is None
    assert document.at(("a", "b")) is None


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("a: &x 1\n", "f:1: an anchor (&)"),
        ("a: *x\n", "f:1: an alias (*)"),
        ("*x : 1\n", "f:1: an alias (*)"),
        ("a: !!python/object/apply:os.system ['true']\n", "f:1: a tag (!)"),
        ("a: !secret x\n", "f:1: a tag (!)"),
        ("a: !x!y z\n", "f:1: a tag (!)"),
        ("a: 1\n---\nb: 2\n", "f:2: a second document"),
        ("a: 1\nb: 2\na: {c: 3}\n", 'f:3: "a" is written twice; it is already on line 1'),
        ("? [a, {b: c}]\n: d\n", "f:1: a mapping or list stands where a key belongs"),
        ("a: " + "x" * 5000 + "\n", "a text of 5000 characters"),
        ("a: .inf\n", "a number without end, or of too many digits"),
        ("a: " + "9" * 500 + "\n", "a number without end, or of too many digits"),
        ("a: |\n  x\n  y\n", "f:1: a text with a line break"),
        ('a: "x\\0y"\n', "f:1: a text with a line break or control character"),
        ("a: x\x00\n", "f:1: a character that can't be seen (U+0000)"),
        ("a: 1\rb: 2\n", "a character that can't be seen (U+000D)"),
        ("a: 1\nb: \u2028\n", "f:2: a character that can't be seen (U+2028)"),
        ("a:\n\tb: 1\n", "f:2: a tab stands where YAML wants spaces"),
        ("a:\n  - b: x\n    c: y\n\td: []\n", "f:4: a tab stands where YAML wants spaces"),
        ("a:\n  - b: x\n      \tc: y\n", "f:3: a tab stands where YAML wants spaces"),
        ("a: b: c\n", "f:1: a colon that YAML can't place"),
        ("a: 1\nb\nc: 2\n", "f:3: a line without its colon"),
        ('a: "x\n', "a quote"),
        ("a: [1, 2\n", "f:2: a list [ that is never closed"),
        ("a: {b: 1\n", "a mapping { that is never closed"),
        ("a: 1\n  b: 2\n", "f:2: a colon that YAML can't place"),
        (" a: 1\nb: 2\n", "f:2:"),
        ("a:\n  - x\n b: 1\n", "f:3: an indentation that fits nothing above"),
        ("a: @x\n", "f:1: a character that can't begin a value"),
        ("a: %x\n", "f:1: a character that can't begin a value"),
        ('a: "\\q"\n', "f:1: an escape after"),
        ("%YAML 3.0\n---\na: 1\n", "f:1:"),
        ("[" * 5000, "nested more than"),
        ("{a: " * 5000, "nested more than"),
        ("- " * 5000, "nested more than"),
        ('a: "\\UFFFFFFFF"\n', "f:1:"),
        ('a: "\\ud800"\n', "f:1:"),
    ],
)
@pytest.mark.parametrize("loader", [FAST, yaml.SafeLoader])
def test_given_a_trick_or_a_slip_of_notation_then_its_line_is_told(text: str, sign: str, loader: Any) -> None:
    assert sign in refusal(text, loader)


def test_given_several_tricks_then_all_are_told() -> None:
    assert len(refusal("a: &x 1\nb: *x\nc: !t 2\n").splitlines()) == 3


def test_given_a_fault_of_notation_and_then_a_broken_line_then_both_are_told() -> None:
    assert len(refusal("a: &x 1\nb: [\n").splitlines()) == 2


def test_given_a_key_written_twice_then_the_first_value_stays() -> None:
    assert parse("a: 1\na: {b: 2}\nc: 3\n", "f").value == {"a": 1, "c": 3}


def test_given_nesting_as_deep_as_allowed_then_it_is_read() -> None:
    assert refusal("[" * DEEPEST + "]" * DEEPEST) == ""


def test_given_too_many_values_then_reading_stops() -> None:
    assert "more than 200000 values" in refusal("[" + "1," * (MOST_VALUES + 1) + "]")


def test_given_a_file_with_a_byte_order_mark_and_windows_line_ends_then_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_text(file) == "a: 1\nb: 2\n"


@pytest.mark.parametrize(
    ("content", "sign"),
    [
        (b"a" * (LARGEST_BYTES + 1), "too large (more than 1000 kB)"),
        (b"a: 1\nb: \xff\xfe\n", ":2: this is not UTF-8"),
    ],
)
def test_given_a_file_that_is_no_text_or_too_large_then_it_is_refused(
    tmp_path: Path, content: bytes, sign: str
) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(content)
    with pytest.raises(FaultyConfigError) as caught:
        read_text(file)
    assert sign in str(caught.value)


def test_given_a_missing_file_a_folder_a_pipe_or_no_name_then_it_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for file, sign in (
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path, "no plain file"),
        (pipe, "no plain file"),
        (Path("/dev/zero"), "no plain file"),
        (Path("a\0b"), "the name is not usable"),
    ):
        with pytest.raises(FaultyConfigError) as caught:
            read_text(file)
        assert sign in str(caught.value)
        assert "\0" not in str(caught.value)
