"""For which wheels an image has use."""

import pytest

from constellation_dagster.images.targets import Target, assumed_target


def test_an_old_wheel_works_on_a_newer_system_and_not_the_other_way_round() -> None:
    platforms = Target("3.11", "x86_64", "2.36").platforms
    assert platforms[0] == "manylinux_2_36_x86_64"
    assert {"manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64"} <= set(platforms)
    assert "manylinux_2_37_x86_64" not in platforms
    assert not [name for name in platforms if "musl" in name]


def test_arm_has_no_wheels_from_before_there_was_arm() -> None:
    platforms = Target("3.11", "aarch64", "2.31").platforms
    assert "manylinux2014_aarch64" in platforms
    assert not [name for name in platforms if "manylinux1" in name or "2_5_" in name]


def test_musl_has_wheels_of_its_own() -> None:
    assert Target("3.12", "x86_64", None).platforms == (
        "musllinux_1_1_x86_64",
        "musllinux_1_2_x86_64",
        "linux_x86_64",
    )


@pytest.mark.parametrize(
    ("base", "python", "musl"),
    [
        ("python:3.11-slim", "3.11", False),
        ("registry.example.org:5000/python:3.13-slim-bookworm", "3.13", False),
        ("python:3.12-alpine", "3.12", True),
        ("our/base:7", "3.14", False),
    ],
)
def test_without_an_engine_the_name_of_the_base_image_tells(
    base: str, python: str, musl: bool
) -> None:
    target = assumed_target(base, "3.14")
    assert (target.python, target.glibc is None) == (python, musl)
