"""Passwords: read from where they may be, hidden everywhere else."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from agent.config.fault import is_sensitive, shown, shown_key
from agent.config.load import parse_config
from agent.config.permissions import laxities
from agent.config.redact import Redactor, redact
from agent.config.schema import Config
from agent.config.secrets import exposed_passwords, hide_in_logs, known_secrets, load_secrets
from agent.errors import ConfigError

WORD = "s3cr3t-Kata"


def config(mqtt: str = "", camera: str = "", source: str = "rtsp://h/x", folder: Path | None = None) -> Config:
    text = f"device: d\nmqtt: {{host: b{mqtt}}}\ncameras:\n- {{name: utara, source: '{source}'{camera}}}\n"
    return parse_config(text, "f", folder=folder)


def secret_file(folder: Path, content: bytes = WORD.encode() + b"\n", mode: int = 0o600) -> Path:
    file = folder / "password"
    file.write_bytes(content)
    file.chmod(mode)
    return file


def test_given_files_and_variables_then_each_password_is_read(tmp_path: Path) -> None:
    secret_file(tmp_path)
    chosen = config(", login: {user: u, password_file: password}", ", login: {password_env: CAM}", folder=tmp_path)

    secrets = load_secrets(chosen, {"CAM": "kamera-word"})

    assert secrets.mqtt is not None
    assert secrets.mqtt.get_secret_value() == WORD
    assert secrets.cameras["utara"].get_secret_value() == "kamera-word"
    assert WORD not in repr(secrets)
    assert "kamera-word" not in str(secrets)
    assert set(known_secrets(chosen, secrets)) == {WORD, "kamera-word"}


def test_given_no_logins_then_there_are_no_secrets_and_the_process_environment_serves() -> None:
    secrets = load_secrets(config())
    assert secrets.mqtt is None
    assert secrets.cameras == {}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o601])
def test_given_a_password_file_others_may_touch_then_it_is_refused(tmp_path: Path, mode: int) -> None:
    secret_file(tmp_path, mode=mode)
    with pytest.raises(ConfigError, match=r"may be read by others \(mode 0\d+\); chmod 600 it") as caught:
        load_secrets(config(", login: {password_file: password}", folder=tmp_path), {})
    assert WORD not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sign"),
    [
        (b"", "nothing else, on one line"),
        (b"\n", "nothing else, on one line"),
        (b"a\nb\n", "nothing else, on one line"),
        (b"x" * 5000, "nothing else, on one line"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_given_a_password_file_that_holds_no_password_then_it_is_refused(
    tmp_path: Path, content: bytes, sign: str
) -> None:
    secret_file(tmp_path, content)
    with pytest.raises(ConfigError, match=sign):
        load_secrets(config(", login: {password_file: password}", folder=tmp_path), {})


def test_given_a_windows_line_end_then_it_is_no_part_of_the_password(tmp_path: Path) -> None:
    secret_file(tmp_path, b"kata\r\n")
    secrets = load_secrets(config(", login: {password_file: password}", folder=tmp_path), {})
    assert secrets.mqtt is not None
    assert secrets.mqtt.get_secret_value() == "kata"


def test_given_the_password_itself_where_its_place_belongs_then_it_is_not_repeated(tmp_path: Path) -> None:
    chosen = config(f", login: {{password_file: {WORD}}}", f", login: {{password_env: {WORD}}}", folder=tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_secrets(chosen, {})
    assert len(str(caught.value).splitlines()) == 2
    assert "No such file" in str(caught.value)
    assert "is not set" in str(caught.value)
    assert WORD not in str(caught.value)


def test_given_a_folder_as_password_file_then_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no plain file"):
        load_secrets(config(", login: {password_file: .}", folder=tmp_path), {})


def test_given_a_client_key_others_may_read_or_none_then_it_is_refused(tmp_path: Path) -> None:
    key = secret_file(tmp_path)
    tls = f", tls: {{cert_file: c.pem, key_file: {key}}}"
    load_secrets(config(tls), {})
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="key_file names may be read by others"):
        load_secrets(config(tls), {})
    key.unlink()
    with pytest.raises(ConfigError, match="can't be read"):
        load_secrets(config(tls), {})


def test_given_a_password_in_an_address_then_it_is_known_for_hiding_and_its_file_is_watched(tmp_path: Path) -> None:
    chosen = config(source="rtsp://admin:p%40ss-word@10.0.0.2/x")
    file = tmp_path / "c.yaml"
    file.write_text("")
    file.chmod(0o600)

    assert set(known_secrets(chosen, load_secrets(chosen, {}))) == {"p%40ss-word", "p@ss-word"}
    assert exposed_passwords(chosen, file) == ()
    file.chmod(0o644)
    assert exposed_passwords(chosen, file) == ("utara",)
    assert exposed_passwords(config(), file) == ()
    assert exposed_passwords(config(source="rtsp://[::1/x"), file) == ()
    assert "p%40ss-word" not in repr(chosen)
    plain = config(source="rtsp://admin:word@10.0.0.2/x")
    assert known_secrets(plain, load_secrets(plain, {})) == ("word",)


def test_given_what_others_may_read_or_change_then_each_is_named_with_what_mends_it(tmp_path: Path) -> None:
    file, state = tmp_path / "box.yaml", tmp_path / "state"
    file.write_text(
        f"device: d\nstate_dir: {state}\nmqtt: {{host: b}}\ncameras: [{{name: u, source: 'rtsp://a:kata@h/x'}}]\n"
    )
    chosen = parse_config(file.read_text(), str(file))
    file.chmod(0o600)
    assert not list(laxities(chosen, file)), "a state folder that isn't there yet is made for its owner alone"
    state.mkdir()
    state.chmod(0o700)
    assert not list(laxities(chosen, file))
    state.chmod(0o777)
    file.chmod(0o646)

    sentences = [str(lax) for lax in laxities(chosen, file)]

    assert [lax.is_about_state for lax in laxities(chosen, file)] == [False, False, True]
    assert sentences[0].startswith("the password of camera u stands in a file that others may read; chmod 600 ")
    assert sentences[1].endswith(f"may change {file} (mode 0646), and with it where records go; chmod o-w {file}")
    assert sentences[2].endswith(f"may delete what waits in {state} (mode 0777); chmod 700 {state}")
    assert "kata" not in "".join(sentences)


def test_given_others_may_change_the_pinned_root_or_its_folder_then_both_are_named(tmp_path: Path) -> None:
    file, folder = tmp_path / "box.yaml", tmp_path / "trust"
    folder.mkdir(mode=0o755)
    root = folder / "root.json"
    file.write_text(
        f"device: d\nstate_dir: {tmp_path / 'state'}\nmqtt: {{host: b}}\ncameras: [{{name: u, source: 'rtsp://h/x'}}]\n"
        f"update: {{url: 'http://h/', root_file: {root}}}\n"
    )
    file.chmod(0o600)
    chosen = parse_config(file.read_text(), str(file))
    assert not list(laxities(chosen, file)), "a root that is not there is told elsewhere"
    root.write_text("{}")
    root.chmod(0o644)
    assert not list(laxities(chosen, file))
    root.chmod(0o666)
    folder.chmod(0o777)
    wrong = [str(lax) for lax in laxities(chosen, file)]
    assert wrong[0].endswith(f"may change {root} (mode 0666), and with it whose models are believed; chmod o-w {root}")
    assert wrong[1].startswith(f"anybody on this machine may change {folder} (mode 0777)")
    root.chmod(0o644)
    folder.chmod(0o1777)
    assert not list(laxities(chosen, file)), "in a sticky folder nobody replaces another's file"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("open rtsp://admin:kata@10.0.0.2/x failed", "open rtsp://***@10.0.0.2/x failed"),
        ("rtsp://admin:ka@ta@h/x", "rtsp://***@h/x"),
        ("rtsp://admin:kata", "rtsp://admin:***"),
        ("rtsp://host:554/x", "rtsp://host:554/x"),
        ("rtsp://host:554", "rtsp://host:554"),
        ("rtsp://[::1]:554/x", "rtsp://[::1]:554/x"),
        ("http://h/x?user=a&password=kata", "http://h/x?user=a&password=***"),
        ('rtspsrc user-pw="my kata" ! x', "rtspsrc user-pw=*** ! x"),
        ('{"password": "kata", "a": 1}', '{"password": ***, "a": 1}'),
        ("passwd: kata", "passwd: ***"),
        ("nothing here", "nothing here"),
    ],
)
def test_given_a_text_with_a_password_then_it_is_replaced(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_given_known_secrets_then_they_are_hidden_wherever_they_stand() -> None:
    redactor = Redactor(["a b/c+word", "x"])
    assert redactor.clean("raw a b/c+word, quoted a%20b%2Fc%2Bword, short x") == "raw ***, quoted ***, short x"


def logger_with(stream: io.StringIO) -> logging.Logger:
    logger = logging.Logger("test")  # noqa: LOG001 - apart from the loggers other tests see
    logger.addHandler(logging.StreamHandler(stream))
    return logger


def test_given_a_logger_when_secrets_are_hidden_then_no_part_of_a_record_shows_one(tmp_path: Path) -> None:
    stream = io.StringIO()
    logger = logger_with(stream)
    secret_file(tmp_path)
    chosen = config(", login: {password_file: password}", folder=tmp_path)
    hide_in_logs(chosen, load_secrets(chosen, {}), logger)

    logger.warning("user %s with %s", "a", WORD)
    logger.warning("100%% of %s", WORD, stack_info=True)
    logger.warning("wrong arguments %d", WORD)
    try:
        int(WORD)
    except ValueError:
        logger.exception("failed at rtsp://a:%s@h", WORD)

    written = stream.getvalue()
    assert WORD not in written
    assert "user a with ***" in written
    assert "ValueError: invalid literal" in written
    assert "arguments that don't fit" in written


def test_given_no_logger_then_the_root_logger_is_meant() -> None:
    handler = logging.StreamHandler(io.StringIO())
    logging.getLogger().addHandler(handler)
    try:
        hide_in_logs(config(), load_secrets(config(), {}))
        assert any(isinstance(item, Redactor) for item in handler.filters)
    finally:
        for each in logging.getLogger().handlers:
            for item in [item for item in each.filters if isinstance(item, Redactor)]:
                each.removeFilter(item)
        logging.getLogger().removeHandler(handler)


def test_given_a_wrong_value_then_it_is_shown_short_and_never_where_passwords_live() -> None:
    assert shown("x" * 100, ("place",)) == f'"{"x" * 60}\N{HORIZONTAL ELLIPSIS}"'
    assert shown("rtsp://a:kata@h", ("source",)) == '"rtsp://***@h"'
    assert shown(WORD, ("mqtt", "login", "user")) == "a value that is not shown"
    assert shown([], ("a",)) == "an empty list"
    assert shown_key("word") == '"word"'
    assert WORD not in shown_key(f"password {WORD}")
    assert is_sensitive(("x", 0, "pasword"))
    assert not is_sensitive(("cameras", 0))
