"""The table of checks that gomd.spec.ini refers to by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from gomd.config import addresses, commands, databases, scalars

#: The first six replace those of configobj's validate, whose messages do not say what is allowed.
CHECKS: Final[Mapping[str, Callable[..., Any]]] = {
    "integer": scalars.whole_number,
    "float": scalars.decimal,
    "boolean": scalars.yes_no,
    "option": scalars.one_of,
    "stores": scalars.stores,
    "engines": scalars.engines,
    "database": databases.database,
    "string": scalars.string,
    "path": scalars.path,
    "paths": scalars.paths,
    "name": scalars.node_name,
    "address": addresses.own_addresses,
    "multicast": addresses.groups,
    "seeds": addresses.seeds,
    "rpc": addresses.one_place,
    "hosts": addresses.hosts,
    "endpoint": addresses.endpoint,
    "endpoints": addresses.endpoints,
    "command": commands.command,
}
