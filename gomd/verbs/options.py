"""Options of a request: words that begin with ``--``, each with a value behind ``=`` or in the next word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from libgomd.errors import MalformedRequest


def split_options(
    verb: str, arguments: Sequence[str], options: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """
    Return the plain words of ``arguments``, and the value of each option.

    :param options: the options of the verb, each with an example for the error. A value may begin with ``-``.
    :raises MalformedRequest: an option is unknown, is given twice, or has no value.
    """
    plain: list[str] = []
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            plain.append(word)
            continue
        option, is_joined, value = word.partition("=")
        if option not in options:
            raise MalformedRequest(f"{verb} has no option {option[:40]}: it has {' '.join(options)}")
        if option in given:
            raise MalformedRequest(f"{option} is given twice: give it once")
        if not is_joined:
            if not rest:
                raise MalformedRequest(f"{option} takes a value: {options[option]}")
            value = rest.pop(0)
        given[option] = value
    return plain, given
