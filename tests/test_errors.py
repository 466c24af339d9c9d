"""Every kind of trouble has its place in the manual, with the exit code it ends in."""

import re
from pathlib import Path

import pytest

from stepwell import errors

MANUAL = (Path(__file__).parent.parent / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.StepwellError) and kind is not errors.StepwellError
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_manual_explains_every_error_under_its_exit_code(kind: type[errors.StepwellError]) -> None:
    sections = re.split(r"^## .*\(exit code (\d+)\)$", MANUAL, flags=re.MULTILINE)
    by_code = dict(zip(map(int, sections[1::2]), sections[2::2], strict=True))
    assert f"`{kind.__name__}`" in by_code[kind.exit_code]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_says_what_it_is(kind: type[errors.StepwellError]) -> None:
    assert kind.__doc__
    assert kind.__doc__.strip().endswith(".")
