"""A key file is read only when nobody else could have read or written it."""

from __future__ import annotations

import json
import os

import pytest

from wrappy.errors import ConfigError
from wrappy.runner.worlds.key_file import LARGEST_BYTES, read_key_file
from wrappy.signing import derive_key_pair

KEY = derive_key_pair(b"key file").private_key
ONE = {"account_index": 7, "api_key_index": 5, "api_key_private_key": KEY}


@pytest.fixture
def write(tmp_path):
    def written(content, mode=0o600):
        path = tmp_path / "key.json"
        path.touch(mode=0o600)
        path.write_bytes(
            content if isinstance(content, bytes) else json.dumps(content).encode()
        )
        path.chmod(mode)
        return path

    return written


@pytest.mark.parametrize(
    "content",
    [
        ONE,
        {
            "account_index": 7,
            "api_keys": [{"api_key_index": 5, "api_key_private_key": KEY}],
        },
    ],
)
def test_a_key_file_gives_account_and_keys(write, content):
    found = read_key_file(write(content))
    assert found.account_index == 7
    assert [(k.api_key_index, k.api_key_private_key) for k in found.api_keys] == [
        (5, KEY)
    ]
    assert found.base_url is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON"),
        (KEY.encode(), "is not JSON"),
        (b"[" * 60_000, "is not JSON"),
        (b"[1]", "no object"),
        (b" " * (LARGEST_BYTES + 1), "more than"),
        ({**ONE, "network": "mainnet"}, "has no 'network'"),
        ({"account_index": 7}, "has no API key"),
        ({"account_index": 7, "api_keys": []}, "has no API key"),
        ({"api_key_index": 5, "api_key_private_key": KEY}, "has no account_index"),
        ({"account_index": 7, "api_key_private_key": KEY}, "give api_key_index and"),
        ({**ONE, "api_keys": []}, "give api_key_index and"),
        ({**ONE, "api_key_index": 2}, "api_key_index"),
        ({**ONE, "api_key_private_key": KEY[:-2]}, "key"),
        ({**ONE, "account_index": "seven"}, "account_index"),
        ({"account_index": 7, "api_keys": KEY}, "api_keys"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_without_its_key(
    write, content, words
):
    with pytest.raises(ConfigError) as caught:
        read_key_file(write(content))
    assert words in str(caught.value)
    assert "key.json: " in str(caught.value)
    assert KEY[8:40] not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o660, 0o644, 0o610])
def test_a_file_that_others_may_touch_is_refused(write, mode):
    path = write(ONE, mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_key_file(path)


def test_a_link_a_pipe_and_a_folder_are_no_key_files(write, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(write(ONE))
    with pytest.raises(ConfigError, match="symbolic link"):
        read_key_file(link)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    with pytest.raises(ConfigError, match="no plain file"):
        read_key_file(pipe)
    with pytest.raises(ConfigError, match="no plain file"):
        read_key_file(tmp_path)
    with pytest.raises(ConfigError, match="cannot be opened"):
        read_key_file(tmp_path / "absent")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_elses_file_is_refused(write):
    path = write(ONE)
    os.chown(path, 12_345, -1)
    with pytest.raises(ConfigError, match="somebody else"):
        read_key_file(path)
