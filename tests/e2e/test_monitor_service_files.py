"""The unit and the image that the documentation shows can be used as they stand."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import subprocess

import pytest

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/how-to/run-as-a-service.md"
INSTRUCTIONS = {
    *("FROM", "RUN", "USER", "WORKDIR", "ENV", "VOLUME"),
    *("STOPSIGNAL", "ENTRYPOINT", "CMD"),
}


def block(language):
    text = PAGE.read_text(encoding="utf-8")
    (found,) = re.findall(
        rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    )
    return found


def test_systemd_accepts_the_unit(tmp_path):
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("there is no systemd-analyze here")
    unit = block("ini").replace("/opt/wrappy/bin/wrappy", shutil.which("true"))
    file = tmp_path / "wrappy.service"
    file.write_text(unit, encoding="utf-8")
    done = subprocess.run(
        [verify, "verify", "--man=no", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # Where no systemd runs, what it says of other units does not count.
    complaints = [line for line in done.stderr.splitlines() if "wrappy.service" in line]
    assert complaints == []


def test_the_unit_gives_up_every_right_it_can():
    lines = block("ini").splitlines()
    for wanted in (
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "UMask=0077",
        "RestartPreventExitStatus=2",
    ):
        assert wanted in lines
    assert not any("LIGHTER_API_KEY" in line for line in lines)


def test_the_image_is_made_of_known_instructions_and_not_run_as_root():
    text = block("dockerfile").replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    assert lines[0][0] == "FROM"
    assert {name for name, _ in lines} <= INSTRUCTIONS
    rest = dict(lines)
    assert json.loads(rest["ENTRYPOINT"]) == ["wrappy", "run"]
    assert len(json.loads(rest["CMD"])) == 1
    names = [name for name, _ in lines]
    assert names.index("RUN") < names.index("USER") < names.index("ENTRYPOINT")
