"""Whatever is written into a configuration: a Config or faults, never another exception, never a secret."""

from __future__ import annotations

import contextlib
from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.config.fault import FaultyConfigError
from agent.config.load import parse_config
from agent.config.redact import redact

SECRET = "Rahasia9"
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
GOOD = f"""\
device: box-1
mqtt:
  host: broker.example.org
  login:
    user: box-1
    password: {SECRET}
models:
  fast: {{file: fast.onnx, labels: [car, bus]}}
cameras:
  - name: simpang
    source: rtsp://admin:{SECRET}@10.0.0.2/stream
    login: {{password_env: {SECRET}, password_file: {SECRET}}}
    model: fast
    lines:
      - {{name: utara, points: [[0.1, 0.5], [0.9, 0.5]]}}
    zones:
      - name: kotak
        polygon: [[0.1, 0.5], [0.9, 0.5], [0.5, 0.9]]
"""

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["no", "0777", "1:30", "street", "../x", "rtsp://a:b@c", "2024-01-01", "\t", "|", "&a", "*a", "!x"]
    ),
)
keys = st.one_of(
    st.sampled_from(["device", "mqtt", "cameras", "models", "name", "source", "host", "port", "tls", "login", "lines"]),
    st.sampled_from(["zones", "points", "polygon", "ground", "frame_size", "interval_s", "classes", "file", "labels"]),
    st.text(max_size=8),
)
trees: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=6), max_leaves=25
)
roots = st.fixed_dictionaries(
    {}, optional={"device": trees, "mqtt": trees, "cameras": st.lists(trees), "models": trees}
)


def outcome(text: str) -> str:
    """Nothing for a configuration that loads, else its message; any other exception fails the test."""
    caught: list[FaultyConfigError] = []
    try:
        parse_config(text, "box.yaml")
    except FaultyConfigError as error:
        caught.append(error)
    lines = text.count("\n") + 1
    for error in caught:
        assert error.faults
        assert all(1 <= fault.line <= lines and fault.wrong and fault.hint for fault in error.faults)
    return "".join(str(error) + repr(error) + repr(error.faults) for error in caught)


@QUICK
@given(st.text(max_size=200))
@example("? ? ? a")
@example("[" * 2000)
@example("a: &a [*a, *a]")
@example('"\\ud800"')
@example("%TAG ! tag:x,2000:\n--- !y z")
@example("<<: {a: 1}")
@example("{\n")
def test_any_text_is_loaded_or_refused_with_its_line(text: str) -> None:
    outcome(text)


@QUICK
@given(roots | trees)
def test_any_tree_is_loaded_or_refused_with_its_line(tree: Any) -> None:
    with contextlib.suppress(yaml.YAMLError):
        outcome(yaml.safe_dump(tree, allow_unicode=True))


@QUICK
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.sampled_from(list(":{}[]#&*!|>'\"%@`-\n\t ,~0a"))), max_size=4))
def test_a_good_file_with_characters_typed_into_it_never_shows_its_passwords(slips: list[tuple[int, str]]) -> None:
    text = GOOD
    for where, character in slips:
        # Between the letters of the password a slip makes it another text; everywhere else it must stay hidden.
        text = text[:where] + character + text[where:]
    assert SECRET not in outcome(text)


@QUICK
@given(st.lists(st.integers(0, GOOD.count("\n") - 1), max_size=4, unique=True), st.sampled_from([0, 2]))
def test_a_good_file_with_lines_missing_or_doubled_never_shows_its_passwords(lines: list[int], times: int) -> None:
    text = "".join(
        line * times if number in lines else line for number, line in enumerate(GOOD.splitlines(keepends=True))
    )
    assert SECRET not in outcome(text)


@QUICK
@given(st.text(max_size=20).filter(lambda text: "@" not in text and SECRET not in text), st.text(max_size=20))
def test_a_password_in_an_address_never_survives_redaction(before: str, after: str) -> None:
    assert SECRET not in redact(f"{before} rtsp://admin:{SECRET}@10.0.0.2/x {after}")
