"""Errors by their code."""

from __future__ import annotations

import pytest

from libgomd.errors import GomdError, NodeError, NotFound, RequestError, TooMany, error_for


@pytest.mark.parametrize(
    ("code", "kind"),
    [(404, NotFound), (429, TooMany), (418, RequestError), (500, NodeError), (599, NodeError)],
)
def test_a_refusal_has_its_code(code: int, kind: type[GomdError]) -> None:
    """Also one that a later daemon has; what comes next of that kind has the usual one again."""
    error = error_for(code, "why")
    assert isinstance(error, kind)
    assert (error.code, error.text) == (code, "why")
    assert (RequestError("x").code, NodeError("x").code) == (400, 500)


@pytest.mark.parametrize("code", [0, 7, 200, 399, 600, 99999])
def test_a_code_that_is_none(code: int) -> None:
    """What is no code of a refusal is never passed on as one."""
    assert error_for(code, "why").code == 500
