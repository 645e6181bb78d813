"""The loader: a whole configuration is loaded, a faulty one is told everything in one pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.describe import OTHER_WORDS, homes_of, keys_at, words_for
from agent.config.fault import FaultyConfigError
from agent.config.load import load_config, parse_config
from agent.config.schema import Camera, Config, Mqtt
from agent.errors import ConfigError, KentonganError

GOOD = """\
device: box-1
mqtt: {host: broker.example.org}
cameras:
  - name: simpang
    source: rtsp://10.0.0.2/stream
    lines:
      - {name: utara, points: [[0.1, 0.5], [0.9, 0.5]]}
"""


def faults_of(text: str) -> FaultyConfigError:
    with pytest.raises(FaultyConfigError) as caught:
        parse_config(text, "box.yaml")
    return caught.value


def the_fault_of(text: str) -> str:
    error = faults_of(text)
    assert len(error.faults) == 1, str(error)
    return str(error)


def with_camera(text: str) -> str:
    return f"device: box-1\nmqtt: {{host: b}}\ncameras:\n  - name: utara\n    source: rtsp://h/x\n{text}"


def test_given_a_good_file_when_loaded_then_every_default_is_filled_in(tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_text(GOOD)

    config = load_config(file)

    assert config.device == "box-1"
    assert config.mqtt.port == 8883
    assert config.cameras[0].lines[0].points == ((0.1, 0.5), (0.9, 0.5))
    assert config.cameras[0].lines[0].interval_s == 60


def test_given_relative_names_when_loaded_from_a_file_then_they_lie_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_text(
        "device: b\nstate_dir: state\nmqtt: {host: h, login: {password_file: secret}}\n"
        "models: {fast: {file: fast.onnx}}\n"
        "cameras:\n- {name: a, source: clip.mp4}\n- {name: b, source: rtsp://h/x}\n- {name: c, source: '0'}\n"
        "- {name: d, source: /dev/video1}\n- {name: e, source: 'gst: videotestsrc'}\n"
    )

    config = load_config(file)

    assert config.state_dir == tmp_path / "state"
    assert config.mqtt.login.password_file == tmp_path / "secret"
    assert config.models["fast"].file == tmp_path / "fast.onnx"
    sources = [camera.source for camera in config.cameras]
    assert sources == [str(tmp_path / "clip.mp4"), "rtsp://h/x", "0", "/dev/video1", "gst: videotestsrc"]


def test_given_text_without_a_folder_then_relative_names_stay_as_written() -> None:
    assert parse_config("device: b\nstate_dir: s\n" + GOOD.split("\n", 1)[1], "x").state_dir == Path("s")


def test_given_many_faults_then_all_come_at_once_each_with_its_line() -> None:
    error = faults_of(
        "device: Kotak 1\n"
        "mqtt:\n"
        "  port: 99999\n"
        "  tsl: {}\n"
        "cameras:\n"
        "  - name: a\n"
        "    detect_fps: 0\n"
        "    lines:\n"
        "      - {name: l, points: [[0, 0], [1, x]], interval_s: 45}\n"
        "  - name: a\n"
        "    source: rtsp://h/x\n"
        "    model: fast\n"
    )

    assert [(fault.line, fault.path) for fault in error.faults] == [
        (1, ("device",)),
        (2, ("mqtt", "host")),
        (3, ("mqtt", "port")),
        (4, ("mqtt", "tsl")),
        (6, ("cameras", 0, "source")),
        (7, ("cameras", 0, "detect_fps")),
        (9, ("cameras", 0, "lines", 0, "points", 1, 1)),
        (9, ("cameras", 0, "lines", 0, "interval_s")),
        (10, ("cameras", 1, "name")),
        (12, ("cameras", 1, "model")),
    ]
    assert all(line.startswith("box.yaml:") and " \N{EN DASH} " in line for line in str(error).splitlines())


def test_a_fault_is_a_config_error_with_the_exit_code_of_sysexits() -> None:
    error = faults_of("")
    assert isinstance(error, ConfigError)
    assert isinstance(error, KentonganError)
    assert error.exit_code == 78
    assert error.faults[0].column == 1


@pytest.mark.parametrize(
    ("text", "wrong", "hint"),
    [
        ("    modle: street\n", 'cameras[utara] has no key "modle"', 'did you mean "model"?'),
        ("    fps: 10\n", 'has no key "fps"', 'did you mean "detect_fps"?'),
        ("    keepalive_s: 10\n", 'has no key "keepalive_s"', '"keepalive_s" belongs under mqtt'),
        ("    nonsense-word: 10\n", 'has no key "nonsense-word"', "delete it; the keys here are name, source"),
        ("    detect_fps: fast\n", 'detect_fps can\'t be "fast"', "write a number above 0 and at most 60"),
        ('    detect_fps: "10"\n', 'can\'t be "10"', "at most 60, without quotes"),
        ("    latitude: 91\n", "latitude can't be 91", "write a number from -90 to 90"),
        ("    heading_deg: 360\n", "heading_deg can't be 360", "write a number from 0 and below 360"),
        ("    transport: TCP\n", 'transport can\'t be "TCP"', 'write one of "tcp", "udp"'),
        ("    place: 12\n", "place can't be 12", 'if "12" is meant, put it in quotes'),
        ("    place: true\n", "place can't be true", 'if "true" is meant, put it in quotes'),
        ("    lines:\n", "lines is empty", "delete the key, or write a list of mappings after it"),
        ("    lines: {}\n", "lines can't be a mapping", "write a list of mappings"),
        ("    login: [a]\n", "login can't be a list", "write a mapping with the keys user, password_file"),
        ("    zones: [{name: z, polygon: [[0, 0], [1, 1]]}]\n", "polygon has 2 values", "a list of at least 3 points"),
        (
            "    lines: [{name: l, points: 3}]\n",
            "points can't be 3",
            "write two points, points: [[0.1, 0.6], [0.9, 0.6]]",
        ),
        ("    lines: [{name: l, points: [[0, 1]]}]\n", "points has too few values", "write a list of 2 points [x, y]"),
        ("    lines: [{name: l, points: [[0, 1], [1, 1], [2, 2]]}]\n", "points has 3 values", "keep it to at most 2"),
        (
            "    zones: [{name: z, polygon: [[0, 0], [1, 1], [1, 0]], classes: []}]\n",
            "classes has 0 values",
            "at least 1",
        ),
        ("    frame_size: [1280]\n", "frame_size has too few values", "a list of 2 whole numbers"),
        ("    frame_size: [0, 720]\n", "frame_size[0] can't be 0", "from 16 to 16384"),
        ("    frame_size: [0720, 1280]\n", '"0720" is not the same number', "in plain decimal digits"),
        ("    detect_fps: .nan\n", "a number without end", "write a plain number"),
        ("    detect_fps: 1e999\n", "detect_fps can't be inf", "at most 60"),
        ("    model: stret\n", 'no model is called "stret"', 'did you mean "street"?'),
        (
            "    aggression: {likeness: 0.9, first_likeness: 0.8}\n",
            "cameras[utara].aggression: first_likeness 0.8 is lower than likeness 0.9, which always counts",
            "write at least 0.9, or leave it out",
        ),
        ("    model: nano\n", 'no model is called "nano"', "write one of street"),
    ],
)
def test_given_one_wrong_value_in_a_camera_then_its_fault_says_what_to_write(text: str, wrong: str, hint: str) -> None:
    fault = the_fault_of(with_camera(text))
    assert wrong in fault
    assert hint in fault.split("\N{EN DASH}")[1]


@pytest.mark.parametrize("wish", ["likeness: 0.97", "likeness: 0.9, first_likeness: 0.9", "first_likeness: 0.99"])
def test_given_a_first_level_that_is_no_lower_or_left_to_the_agent_then_it_is_taken(wish: str) -> None:
    assert parse_config(with_camera(f"    aggression: {{{wish}}}\n"), "box.yaml").cameras[0].aggression is not None


@pytest.mark.parametrize(
    ("rule", "key", "meant"),
    [
        ("crowd", "persons: 40", "people"),
        ("crowd", "threshold: 40", "people"),
        ("queue", "cars: 4", "vehicles"),
        ("loitering", "after_s: 60", "seconds"),
        ("stopped_vehicle", "seconds: 60", "after_s"),
        ("surge", "factor: 3", "times"),
    ],
)
def test_given_another_word_for_a_key_of_a_rule_then_the_key_that_was_meant_is_named(
    rule: str, key: str, meant: str
) -> None:
    zone = f"{{name: z, polygon: [[0, 0], [1, 1], [1, 0]], rules: {{{rule}: {{{key}}}}}}}"
    fault = the_fault_of(with_camera(f"    zones: [{zone}]\n"))
    assert f'rules.{rule} has no key "{key.partition(":")[0]}"' in fault
    assert fault.endswith(f'did you mean "{meant}"?')


@pytest.mark.parametrize(
    ("calendar", "wrong", "hint"),
    [
        ("lebaran: 2026-03-20", 'surge.calendar has a key that is no day: "lebaran"', "write a day such as 2026-03-20"),
        ("2026-03-20: Hari Raya", 'calendar.2026-03-20 can\'t be "Hari Raya"', "digits and _, such as lebaran"),
    ],
)
def test_given_a_calendar_that_is_none_then_its_fault_says_what_a_day_is(calendar: str, wrong: str, hint: str) -> None:
    zone = f"{{name: z, polygon: [[0, 0], [1, 1], [1, 0]], rules: {{surge: {{calendar: {{{calendar}}}}}}}}}"
    fault = the_fault_of(with_camera(f"    zones: [{zone}]\n"))
    assert wrong in fault
    assert hint in fault


@pytest.mark.parametrize(
    ("evidence", "wrong", "hint"),
    [
        ("keys: [age1short]", 'evidence.keys[0] can\'t be "age1short"', "write a public key: age1 and 58 letters and"),
        ("keys: []", "evidence.keys has 0 values", "a list of at least 1 public keys"),
        ("clips_mb: 100", "evidence.keys is missing", "with a list of at least 1 public keys"),
        (f"keys: [age1{'q' * 58}], clips_mb: 0", "clips_mb can't be 0", "a whole number from 10 to 1000000"),
    ],
)
def test_given_evidence_without_a_key_that_seals_then_its_fault_says_what_a_key_is(
    evidence: str, wrong: str, hint: str
) -> None:
    fault = the_fault_of(with_camera("") + f"evidence: {{{evidence}}}\n")
    assert wrong in fault
    assert hint in fault


def test_given_a_key_of_a_rule_that_resembles_none_then_all_of_them_are_named() -> None:
    zone = "{name: z, polygon: [[0, 0], [1, 1], [1, 0]], rules: {crowd: {xyz: 4}}}"
    assert "the keys here are people, per_m2, release" in the_fault_of(with_camera(f"    zones: [{zone}]\n"))


def test_every_word_that_a_hint_may_name_is_a_key_of_the_schema() -> None:
    meant = {key for keys in OTHER_WORDS.values() for key in keys}
    assert {key for key in meant if not homes_of(key) and key not in keys_at(())} == set()


def test_given_a_model_called_like_the_slot_of_lines_and_zones_then_it_is_refused() -> None:
    fault = the_fault_of(with_camera("    model: configuration\n") + "models: {configuration: {file: a.onnx}}\n")
    assert 'no model can be called "configuration"' in fault
    assert fault.endswith("give it another name")


@pytest.mark.parametrize(
    ("mqtt", "wrong", "hint"),
    [
        ("tls: off", 'mqtt.tls can\'t be "off"', "TLS is on by itself"),
        ("tls: true", "mqtt.tls can't be true", "plaintext: true"),
        ("plaintext: yes", 'mqtt.plaintext can\'t be "yes"', "write true"),
        ("plaintext: Off", 'mqtt.plaintext can\'t be "Off"', "write false"),
        ('plaintext: "true"', 'can\'t be "true"', "write true"),
        ("plaintext: maybe", 'can\'t be "maybe"', "write true or false"),
        ("protocol: 5", "mqtt.protocol can't be 5", 'write one of "5", "3.1.1"'),
        ("tls: {cert_file: a}", "a client certificate needs both", "give both or neither"),
        ("login: {password_file: a, password_env: B}", "names both password_file and password_env", "keep one of them"),
        ("login: {password: hunter2}", 'has no key "password"', 'did you mean "password_file"?'),
        ("port: 8_883", '"8_883" is not the same number', "plain decimal digits"),
        ("port: 1:20", '"1:20" is not the same number', "plain decimal digits"),
        ("host: 2024-01-01", "is a number or a date to some YAML readers", "put the text in quotes"),
    ],
)
def test_given_one_wrong_value_for_the_broker_then_its_fault_says_what_to_write(
    mqtt: str, wrong: str, hint: str
) -> None:
    host = "" if mqtt.startswith("host") else "  host: b\n"
    fault = the_fault_of(f"device: d\nmqtt:\n{host}  {mqtt}\ncameras: [{{name: a, source: rtsp://h/x}}]\n")
    assert wrong in fault
    assert hint in fault
    assert "hunter2" not in fault


@pytest.mark.parametrize("name", ["no", "off", "Yes", "0123", "0x1f", "12:30", "1_000", "2024-01-01"])
def test_given_a_name_that_yaml_readers_disagree_on_then_it_must_be_quoted(name: str) -> None:
    text = GOOD.replace("name: simpang", f"place: {name}\n    name: simpang")
    assert "put the text in quotes" in the_fault_of(text)
    assert parse_config(text.replace(f"place: {name}", f'place: "{name}"'), "x").cameras[0].place == name


def test_given_a_number_as_a_name_then_it_must_be_quoted() -> None:
    fault = the_fault_of(GOOD.replace("device: box-1", "device: 7"))
    assert 'if "7" is meant, put it in quotes' in fault


def test_given_a_device_number_as_source_then_its_path_is_offered() -> None:
    assert 'write "/dev/video0"' in the_fault_of(GOOD.replace("rtsp://10.0.0.2/stream", "0"))


def test_given_a_name_with_capitals_and_spaces_then_a_good_one_is_offered() -> None:
    assert 'such as "simpang-lima"' in the_fault_of(GOOD.replace("simpang", "Simpang Lima!"))
    assert 'such as "camera-1"' in the_fault_of(GOOD.replace("simpang", '"東"'))


def test_given_a_zone_with_the_name_of_a_line_then_both_lines_are_told() -> None:
    fault = the_fault_of(GOOD + "    zones:\n      - {name: utara, polygon: [[0, 0], [1, 0], [1, 1]]}\n")
    assert (
        'box.yaml:9: two lines, zones or protected regions of this camera are called "utara", the other on line 7'
        in fault
    )


def test_given_a_login_beside_an_address_with_a_user_then_one_place_must_be_chosen() -> None:
    camera = "    login: {user: a}\n"
    fault = the_fault_of(with_camera(camera).replace("rtsp://h/x", "rtsp://admin:hunter2@h/x"))
    assert "take user and password out of the address" in fault
    assert "hunter2" not in fault


def test_given_an_address_nobody_can_split_then_no_second_user_is_suspected() -> None:
    config = parse_config(with_camera("    login: {user: a}\n").replace("rtsp://h/x", "'rtsp://[::1/x'"), "x")
    assert config.cameras[0].login.user == "a"


def test_given_a_model_name_that_is_no_name_then_the_key_is_refused() -> None:
    fault = the_fault_of(GOOD + "models:\n  Big Model: {file: a.onnx}\n")
    assert "models has a key that is no name" in fault


def test_given_a_model_with_wrong_labels_then_both_ways_are_told() -> None:
    fault = the_fault_of(GOOD + "models:\n  big: {file: a.onnx, labels: 3}\n")
    assert 'write "coco" or a list of texts' in fault


def test_given_no_camera_then_the_list_is_told_to_be_too_short() -> None:
    assert "cameras has 0 values" in the_fault_of("device: d\nmqtt: {host: b}\ncameras: []\n")


def test_given_a_camera_that_is_wrong_then_the_list_is_not_called_too_short() -> None:
    assert "cameras[a].source is missing" in the_fault_of("device: d\nmqtt: {host: b}\ncameras: [{name: a}]\n")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("hello\n", "the file is no mapping"),
        ("- a\n- b\n", "the file is no mapping"),
    ],
)
def test_given_a_file_that_is_no_mapping_then_an_example_is_named(text: str, wrong: str) -> None:
    fault = the_fault_of(text)
    assert wrong in fault
    assert "one-camera.yaml" in fault


def test_given_thousands_of_faults_then_the_message_stays_readable_and_says_how_many_more() -> None:
    error = faults_of(GOOD.replace("    lines:\n", "    zones: [" + "1, " * 3000 + "]\n    lines:\n"))
    lines = str(error).splitlines()
    assert len(lines) == 201
    assert "more faults" in lines[-1]


def test_given_places_and_items_that_are_no_mappings_then_each_is_told() -> None:
    error = faults_of("device: d\nmqtt: [1]\ncameras: [a, {name: [b], source: 1.5}]\nmodels: x\n")
    assert {fault.path for fault in error.faults} == {
        ("mqtt",),
        ("cameras", 0),
        ("cameras", 1, "name"),
        ("cameras", 1, "source"),
        ("models",),
    }


def test_given_a_camera_twice_in_a_config_built_by_a_program_then_it_is_refused() -> None:
    camera = Camera(name="a", source="x")
    with pytest.raises(ValueError, match="two cameras are called 'a'"):
        Config(device="d", mqtt=Mqtt(host="b"), cameras=(camera, camera))


def test_given_a_place_the_schema_does_not_know_then_no_words_are_made_up() -> None:
    assert words_for(("nope", "x")) == ""
    assert keys_at(("device", "x")) == ()


def test_given_odd_values_under_an_unknown_key_then_only_the_key_is_told() -> None:
    assert "0777" not in the_fault_of(GOOD + "pasword: 0777\n")


def test_given_a_password_where_a_key_belongs_then_it_is_not_repeated() -> None:
    error = faults_of(
        "device: d\nmqtt:\n  host: b\n  login: {password_file: ~, hunter2: , 'my pass': x}\ncameras: []\n"
    )
    assert "hunter2" not in str(error) + repr(error.faults)
    assert "my pass" not in str(error) + repr(error.faults)
    assert "mqtt.login has no key of that name" in str(error)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("update:\n", "box.yaml:8: update is empty, so it would count as not written - delete the key, or write a map"),
        ("evidence:\n", "box.yaml:8: evidence is empty"),
        ("    aggression:\n", "box.yaml:8: cameras[simpang].aggression is empty"),
        ("    ground:\n", "box.yaml:8: cameras[simpang].ground is empty"),
    ],
)
def test_given_a_section_with_nothing_below_it_then_it_is_not_silently_off(text: str, told: str) -> None:
    assert told in the_fault_of(GOOD + text).replace("\N{EN DASH}", "-")


def test_given_an_empty_section_when_a_box_starts_then_it_is_told_and_does_not_keep_the_box_from_starting() -> None:
    told: list[str] = []
    config = parse_config(GOOD + "update:\n", "box.yaml", on_empty=lambda fault: told.append(fault.text("box.yaml")))
    assert config.update is None
    (said,) = told
    assert "box.yaml:8: update is empty" in said
    with pytest.raises(ConfigError, match="update is empty"):
        parse_config(GOOD + "update:\nnonsense: 1\n", "box.yaml", on_empty=told.append)
    assert told == [said]


@pytest.mark.parametrize("day", ["2026-13-40", "2026-02-29"])
def test_given_a_holiday_on_a_day_that_does_not_exist_then_it_is_refused(day: str) -> None:
    zone = "{name: pasar, polygon: [[0, 0], [1, 0], [1, 1]], rules: {surge: {calendar: {'%s': lebaran}}}}"

    assert f"calendar: there is no {day} " in the_fault_of(with_camera(f"    zones: [{zone % day}]\n"))


def test_given_a_key_written_twice_then_nothing_is_said_of_what_stands_in_the_one_that_is_left_out() -> None:
    zone = "{name: a, polygon: [[0, 0], [1, 0], [1, 1]], rules: {crowd: {people: 5}}}"
    other = "{name: b, polygon: [[0, 0], [1, 0], [1, 1]], rules: {surge: {}, loitering: {}}}"
    text = with_camera(f"    zones: [{zone}]\n    zones: [{other}]\n    aggression: {{}}\n")
    assert '"zones" is written twice' in the_fault_of(text)


def test_given_a_setting_that_may_be_left_empty_then_it_still_may() -> None:
    assert parse_config(GOOD + "    place:\n", "box.yaml").cameras[0].place is None


@pytest.mark.parametrize(
    ("hours", "hint"),
    [
        ('["22-05"]', 'write local times from 00:00 to 23:59, two digits each, such as "22:00-05:00"'),
        ("[22:00]", 'write local times from 00:00 to 23:59, two digits each, such as "22:00-05:00"'),
        ('"22:00-05:00"', 'write a list of spans of local time such as "22:00-05:00"'),
    ],
)
def test_given_hours_of_another_form_then_the_fault_shows_the_right_one(hours: str, hint: str) -> None:
    zone = f"{{name: z, polygon: [[0, 0], [1, 0], [1, 1]], rules: {{loitering: {{hours: {hours}}}}}}}"
    text = f"device: d\nmqtt: {{host: b}}\ncameras: [{{name: a, source: x, zones: [{zone}]}}]\n"
    with pytest.raises(FaultyConfigError) as caught:
        parse_config(text, "f")
    (fault,) = caught.value.faults
    assert fault.hint == hint
