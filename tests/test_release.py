"""What a release needs agrees: one version, a section of the changelog, files that tools read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import graphkd

ROOT = Path(__file__).parents[1]


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_has_one_source():
    assert "version" not in project()
    assert project()["dynamic"] == ["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == graphkd.__version__


def test_the_changelog_has_released_sections_newest_first():
    found = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert found[0] == "Unreleased"
    assert found[1].startswith(f"{graphkd.__version__} - ")
    versions = [tuple(map(int, each.split(" ")[0].split("."))) for each in found[1:]]
    assert versions == sorted(versions, reverse=True)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", each) for each in found[1:])


def test_workflows_templates_and_hooks_can_be_read():
    files = [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"]
    assert len(files) >= 6
    assert all(yaml.safe_load(path.read_text()) for path in files)


def test_workflows_run_each_python_that_the_package_names():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    named = [each.rpartition(" ")[2] for each in project()["classifiers"] if re.search(r":: 3\.\d+$", each)]
    assert jobs["all"]["strategy"]["matrix"]["python"] == named
    assert {"run": ".ci/run", "env": {"PYTHON": "python"}} in jobs["all"]["steps"]


def test_every_pin_is_exact_and_every_extra_is_pinned():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    wanted = {re.split(r"[<>=; ]", each)[0].lower() for each in project()["optional-dependencies"]["site"]}
    assert wanted <= pinned
