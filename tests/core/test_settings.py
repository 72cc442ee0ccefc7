from pathlib import Path

import pytest

from lepton.core.errors import InvalidInput
from lepton.core.settings import Settings


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_environment(
        {"LEPTON_HOME": "/data/lepton", "LEPTON_PORT": "8080", "LEPTON_CATALOG": "postgresql://db/lepton"}
    )
    assert settings.home == Path("/data/lepton")
    assert settings.port == 8080
    assert settings.catalog_url == "postgresql+psycopg://db/lepton"
    assert settings.keys_url == settings.catalog_url


def test_the_keys_have_a_file_of_their_own_when_embedded() -> None:
    settings = Settings.from_environment({"LEPTON_HOME": "/data/lepton"})
    assert settings.catalog_url == "sqlite:////data/lepton/catalog.db"
    assert settings.keys_url == "sqlite:////data/lepton/keys.db"


def test_it_listens_on_the_loopback_unless_told_otherwise() -> None:
    assert Settings.from_environment({}).host == "127.0.0.1"


@pytest.mark.parametrize("port", ["http", "-1", "65536", "7070.5"])
def test_a_wrong_port_is_refused_with_what_is_allowed(port: str) -> None:
    with pytest.raises(InvalidInput, match="LEPTON_PORT must be a whole number from 0 to 65535. Unset it to use 7070"):
        Settings.from_environment({"LEPTON_PORT": port})


def test_an_unknown_catalog_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidInput, match="LEPTON_CATALOG must be 'sqlite' or a URL") as caught:
        Settings.from_environment({"LEPTON_CATALOG": "mysql://root:hunter2@db/x"})
    assert "hunter2" not in caught.value.message


def test_the_engine_is_this_machine_unless_a_cluster_is_named() -> None:
    assert Settings.from_environment({}).engine == "local"
    assert Settings.from_environment({"LEPTON_ENGINE": "ray://head:8265"}).engine == "ray://head:8265"
    for wrong in ("ray", "kubernetes://x", "ray://a b", "http://head:8265"):
        with pytest.raises(InvalidInput, match="LEPTON_ENGINE must be 'local' or 'ray://HOST:PORT'"):
            Settings.from_environment({"LEPTON_ENGINE": wrong})


def test_a_certificate_and_its_key_belong_together(tmp_path: Path) -> None:
    pem = tmp_path / "a.pem"
    pem.touch()
    both = {"LEPTON_TLS_CERTIFICATE": str(pem), "LEPTON_TLS_KEY": str(pem)}
    assert Settings.from_environment(both).tls == (pem, pem)
    assert Settings.from_environment({}).tls is None
    for wrong in ({"LEPTON_TLS_KEY": str(pem)}, both | {"LEPTON_TLS_KEY": str(tmp_path / "none")}):
        with pytest.raises(InvalidInput, match="belong together"):
            Settings.from_environment(wrong)
