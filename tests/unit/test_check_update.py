"""What `kentongan check` and `kentongan unit` say of updates, and what the section refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.fault import FaultyConfigError
from agent.config.load import parse_config
from agent.config.schema import Config
from agent.installation import how_to_add
from agent.ops.check_update import check_update, check_update_server
from agent.ops.unit import drop_in
from tests.fakes.tuf_repository import Maintainer, RepositoryServer

TEXT = """
device: box-1
mqtt: {{host: 192.168.1.9}}
models: {{{model}: {{file: street.onnx}}}}
cameras: [{{name: gate, source: rtsp://192.168.1.20/live, model: {model}}}]
update:
  url: {url}
  root_file: root.json
"""


def config_of(folder: Path, *, url: str = "https://198.51.100.9/kentongan", model: str = "street") -> Config:
    return parse_config(TEXT.format(url=url, model=model), "box.yaml", folder=folder)


def told(folder: Path, **parts: str) -> list[str]:
    return [finding.text() for finding in check_update(config_of(folder, **parts))]


def test_root_of_a_repository_is_found_good(tmp_path: Path) -> None:
    maintainer = Maintainer(tmp_path / "m")
    (tmp_path / "root.json").write_bytes(maintainer.root)
    assert told(tmp_path) == []


def test_root_that_is_missing_or_none_is_told_with_what_to_copy(tmp_path: Path) -> None:
    maintainer = Maintainer(tmp_path / "m")
    (missing,) = told(tmp_path)
    assert "can't be read: No such file" in missing
    assert "copy the maintainer's root.json there" in missing
    (tmp_path / "root.json").write_text("<html>")
    assert "is no root metadata" in told(tmp_path)[0]
    timestamp = maintainer.workspace.public / "metadata" / "timestamp.json"
    (tmp_path / "root.json").write_bytes(timestamp.read_bytes())
    assert "another metadata file than a root" in told(tmp_path)[0]
    maintainer.forge("1.root.json", lambda signed: None)
    (tmp_path / "root.json").write_bytes(maintainer.root)
    assert "not signed by the keys that it names" in told(tmp_path)[0]


def test_server_is_asked_whether_it_knows_the_pinned_root(tmp_path: Path) -> None:
    maintainer, other = Maintainer(tmp_path / "m"), Maintainer(tmp_path / "other")
    with RepositoryServer(maintainer.workspace.public).running() as server:
        assert list(check_update_server(config_of(tmp_path, url=server.url))) == [], "no root is told elsewhere"
        (tmp_path / "root.json").write_bytes(maintainer.root)
        assert list(check_update_server(config_of(tmp_path, url=server.url))) == []
        (tmp_path / "root.json").write_bytes(other.root)
        (stranger,) = check_update_server(config_of(tmp_path, url=server.url))
        assert "that the root pinned on this box does not know" in stranger.wrong
        server.mood.portal = True
        (portal,) = check_update_server(config_of(tmp_path, url=server.url))
        assert "a web page instead of the repository" in portal.wrong
        assert list(check_update_server(config_of(tmp_path, url=server.url), installed=lambda name: False)) == []


def test_extra_that_is_not_installed_is_one_sentence(tmp_path: Path) -> None:
    (finding,) = check_update(config_of(tmp_path), installed=lambda name: name != "tuf")
    assert finding.wrong == "updates need the extra of that name, and tuf is not installed"
    assert finding.hint == f"install it: {how_to_add('update')}"


def test_box_without_the_section_has_nothing_to_check(tmp_path: Path) -> None:
    text = TEXT.format(url="https://x/y", model="street").partition("update:")[0]
    assert list(check_update(parse_config(text, "f", folder=tmp_path))) == []


def test_unit_allows_the_address_of_the_update_server(tmp_path: Path) -> None:
    text = drop_in(config_of(tmp_path), resolv_conf=tmp_path / "none")
    assert "# the update server.\nIPAddressAllow=198.51.100.9" in text


@pytest.mark.parametrize(
    ("url", "sign"),
    [
        ("ftp://host/folder", "no address of a folder on a web server"),
        ("models.example.org", "no address of a folder on a web server"),
        ("https://host/folder?x=1", "no address of a folder on a web server"),
        ("https://me:hunter2@host/folder", "carries a login"),
    ],
)
def test_address_that_is_none_is_refused_with_its_line_and_never_with_a_password(
    tmp_path: Path, url: str, sign: str
) -> None:
    with pytest.raises(FaultyConfigError) as caught:
        config_of(tmp_path, url=url)
    text = str(caught.value)
    assert sign in text
    assert "box.yaml:7" in text
    assert "write https://" in text
    assert "hunter2" not in text


def test_file_of_the_root_is_meant_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    update = config_of(tmp_path).update
    assert update is not None
    assert update.root_file == tmp_path / "root.json"
    assert (update.shadow_s, update.watch_s, update.configuration) == (900, 900, True)
