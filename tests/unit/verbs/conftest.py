"""The conversations of these tests are ended as those of the protocol's own."""

from tests.unit.protocols.conftest import _hang_up

__all__ = ["_hang_up"]
