"""`gom init`: writes gomd.ini and the key of a new node, and says what to run on the next one."""

from __future__ import annotations

import base64
import os
import shlex
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from gom import init_options
from gom.init_file import NewNode, check_path, sets_nothing, text_of
from gom.init_options import PEER_PORT, InitOptions
from gom.key import KEY_BYTES
from gom.own_addresses import address_towards, default_address
from gom.twistd import twistd_name
from libgomd.durable import create_exclusively, replace_durably
from libgomd.errors import ConfigError, MalformedRequest
from libgomd.installation import InstalledBy, installation
from libgomd.keys import read_key_file
from libgomd.node_names import name_from_host
from libgomd.wire.addresses import is_ipv6, is_loopback, shown
from libgomd.wire.text import printable

T = TypeVar("T")

#: Where root's daemon has its configuration, and the older place that it also reads.
ROOT_FILE: Final = "/etc/gomd/gomd.ini"
OLD_ROOT_FILE: Final = "/etc/gomd.conf"
#: What a node without IPv4 takes its number from.
_MACHINE_ID_FILES: Final = ("/etc/machine-id", "/var/lib/dbus/machine-id")
#: Seeds that the line for the next node names, at most.
_MAX_SEEDS_SHOWN: Final = 3


def init(options: InitOptions, ask: Callable[[str], str] | None) -> str:
    """
    Configure this node. Blocks on the disk and on ``ask``.

    :param ask: shows a question and returns the answer's line; None when nobody can be asked.
    :returns: what to tell the user.
    :raises ConfigError: there is a configuration already, a part of one, or a file cannot be used.
    """
    config = _config_path(options)
    key = os.path.join(os.path.dirname(config), _key_name(config))
    given = os.path.abspath(options.key) if options.key is not None else None
    _check_nothing_there(config, key, given)
    for path in filter(None, (key, options.state_dir)):
        check_path(os.path.abspath(path))
    if options.join is not None:
        return _join(options, options.join, config, key, ask)
    node, secret = _decide(options, key, given, ask if options.asks else None)
    made_key = _write(config, key, secret, text_of(node))
    return _report(config, node, made_key, bool(options.config))


def _join(
    options: InitOptions, place: tuple[str, int], config: str, key: str, ask: Callable[[str], str] | None
) -> str:
    """Get the key from a node that invites, and configure this one. Blocks until somebody there says yes."""
    from gom.join import joining
    from gom.join.agreed import still_needed
    from gom.join.protocol import digits_of

    asks = ask if options.asks else None
    name = options.name or _answer(asks, "Name of this node", _default_name(), init_options.name)
    if os.path.lexists(key):
        raise ConfigError([f"{key} is there, and nothing is ever overwritten: move it away to join"])
    address = options.address or _answer(
        asks, "Address at which the other nodes reach it", address_towards(*place), init_options.address
    )
    if options.node_id is None:
        _check_number(address)
    joining.dial(*place).close()  # where nobody invites, no code is asked for
    code = digits_of(ask("Code that `gom invite` shows there: ") if ask else sys.stdin.readline(100))
    joined = joining.join(joining.dial(*place), name, code)
    told = joined.introduction
    # As they are understood, not as they came: they go into gomd.ini.
    seeds = tuple(dict.fromkeys(each for seed in told.seeds for each in init_options.seeds(seed)))
    node = NewNode(
        name, address, key, seeds, told.multicast, bool(options.page), options.node_id,
        os.path.abspath(options.state_dir) if options.state_dir else "", told.agreed,
    )  # fmt: skip
    _write(config, key, told.secret, text_of(node))
    joined.finish()
    named = f" --config {shlex.quote(config)}" if options.config else ""
    more = []
    if told.unknown:
        more.append(f"not set, as this gomd does not know it:  {', '.join(told.unknown)}; upgrade gomd here")
    return "\n".join(
        [
            f"wrote {config} and {key}: this node has the key of the cluster of {printable(joined.inviter)}",
            *([f"set as on the other nodes:  {_set(told.agreed)}"] if told.agreed else []),
            *more,
            *still_needed(dict(told.agreed)),
            f"start gomd here:      {_start_line(config, named)}",
            f"see what is missing:  gom doctor{named}",
        ]
    )


def _set(agreed: Sequence[tuple[str, str]]) -> str:
    """Return the settings as a person names them: ``[peers] engine = serf``."""
    return "; ".join("[{}] {} = {}".format(*name.split("."), value) for name, value in agreed)


def _config_path(options: InitOptions) -> str:
    if options.config:
        return os.path.abspath(options.config)
    return ROOT_FILE if os.geteuid() == 0 else os.path.abspath("gomd.ini")


def _key_name(config: str) -> str:
    """Return the name of the key file beside gomd.ini: a short one in a directory of gomd's own."""
    return "key" if os.path.basename(os.path.dirname(config)) == "gomd" else "gomd.key"


def _is_same(one: str, other: str) -> bool:
    return (
        os.path.lexists(one) and os.path.lexists(other) and os.path.realpath(one) == os.path.realpath(other)
    )


def _check_nothing_there(config: str, key: str, given: str | None) -> None:
    """Check that nothing is overwritten. :raises ConfigError: gomd.ini or the key is there already."""
    there = os.path.lexists(config) and not sets_nothing(config)
    if there and os.path.lexists(key):
        raise ConfigError(
            [f"this node is configured already ({config} and {key} are there, and nothing is ever "
             f"overwritten): edit {config}, or move both away to begin again"]
        )  # fmt: skip
    if there:
        raise ConfigError(
            [f"{config} is there and {key} is missing, and nothing is ever overwritten: if its key_file "
             f"names another file, this node is configured; if not, move {config} away and begin again"]
        )  # fmt: skip
    if config == ROOT_FILE and os.path.lexists(OLD_ROOT_FILE):
        raise ConfigError(
            [f"{OLD_ROOT_FILE} is there, and a new {ROOT_FILE} would hide it: move it to {ROOT_FILE}, "
             "or move it away"]
        )  # fmt: skip
    if os.path.lexists(key) and not (given and _is_same(given, key)):
        raise ConfigError(
            [f"{key} is there and {config} is missing: `gom init --key {shlex.quote(key)}` uses that key, "
             "or move it away to begin a new cluster"]
        )  # fmt: skip


def _decide(
    options: InitOptions, key: str, given: str | None, ask: Callable[[str], str] | None
) -> tuple[NewNode, bytes | None]:
    """Return the node, and the secret to write to ``key``; None when the file is there already."""
    name = options.name or _answer(ask, "Name of this node", _default_name(), init_options.name)
    address = options.address or _answer(
        ask, "Address at which the other nodes reach it", default_address(), init_options.address
    )
    node_id = options.node_id
    if node_id is None:
        _check_number(address)
    if given is None and ask is not None:
        given = _answer(
            ask, "A copy of another node's key file, or new for a new cluster", "new", _key_answer
        )
    secret: bytes | None
    if given is None:
        secret = os.urandom(KEY_BYTES)
    else:
        secret = read_key_file(given)
        if _is_same(given, key):
            secret = None
    seeds, multicast = options.seeds, options.multicast
    if seeds is None and multicast is None:
        seeds = _answer(
            ask, "Other nodes to ask (HOST, ...), multicast to find them on this network, or none",
            "multicast", _seeds_answer,
        )  # fmt: skip
    page = options.page
    if page is None:
        page = _answer(ask, "Serve the page for browsers of this machine, yes or no", "no", _yes_no)
    node = NewNode(
        name, address, key, seeds or (), seeds is None, page, node_id,
        os.path.abspath(options.state_dir) if options.state_dir else "",
    )  # fmt: skip
    return node, secret


def _answer(ask: Callable[[str], str] | None, question: str, default: str, check: Callable[[str], T]) -> T:
    """Return the checked answer; a wrong one is explained and asked for again."""
    while ask is not None:
        try:
            return check(ask(f"{question} [{default}]: ").strip() or default)
        except MalformedRequest as error:
            print(printable(str(error)))
    try:
        return check(default)
    except MalformedRequest as error:
        raise ConfigError([str(error)]) from error


def _key_answer(text: str) -> str | None:
    if text == "new":
        return None
    path = os.path.abspath(text)
    try:
        read_key_file(path)
    except ConfigError as error:
        raise MalformedRequest(str(error)) from error
    return path


def _seeds_answer(text: str) -> tuple[str, ...] | None:
    """Return the seeds; None for multicast."""
    return None if text.lower() == "multicast" else init_options.seeds(text)


def _yes_no(text: str) -> bool:
    if text.lower() not in ("yes", "y", "no", "n"):
        raise MalformedRequest("say yes or no")
    return text.lower() in ("yes", "y")


def _default_name() -> str:
    return name_from_host(socket.gethostname())


def addresses_of(node: NewNode) -> list[str]:
    """Return the one or two addresses of a node, that of IPv4 first."""
    return [each.strip() for each in node.address.split(",")]


def _check_number(address: str) -> None:
    """Check that a node gets a number from its addresses. :raises ConfigError: none; it has to be given."""
    first = address.partition(",")[0]
    if not is_ipv6(first):
        if not int.from_bytes(socket.inet_aton(first)[2:], "big"):
            raise ConfigError([f"the low 16 bits of {first} are 0, which numbers no node: add --node-id N"])
    elif not any(map(os.path.exists, _MACHINE_ID_FILES)):
        raise ConfigError(
            [
                "without an IPv4 address a node has its number from its machine id, which this machine "
                "does not have: add --node-id N"
            ]
        )


def _write(config: str, key: str, secret: bytes | None, text: str) -> bool:
    """
    Write the key and then gomd.ini. When the second fails, the first is removed again.

    :returns: whether a key was written. :raises ConfigError: one of them cannot be written.
    """
    directory = os.path.dirname(config)
    try:
        os.makedirs(directory, mode=0o755, exist_ok=True)
    except OSError as error:
        raise ConfigError([f"the directory {directory} cannot be made: {error.strerror}"]) from error
    if secret is not None:
        _create(key, base64.b64encode(secret) + b"\n", 0o600)
    try:
        _create(config, text.encode(), 0o644)
    except BaseException:
        if secret is not None:
            os.unlink(key)
        raise
    return secret is not None


def _create(path: str, content: bytes, mode: int) -> None:
    try:
        if sets_nothing(path):
            replace_durably(path, content, mode=mode)
        else:
            create_exclusively(path, content, mode)
    except FileExistsError as error:
        raise ConfigError([f"{path} has come into being just now, and is never overwritten"]) from error
    except OSError as error:
        hint = ": say it as root, or name another file with --config" if os.geteuid() else ""
        raise ConfigError([f"{path} cannot be written ({error.strerror}){hint}"]) from error


def _report(config: str, node: NewNode, made_key: bool, is_named: bool) -> str:
    named = f" --config {shlex.quote(config)}" if is_named else ""
    lines = [f"wrote {config}" + (f" and {node.key}" if made_key else f", which uses {node.key}")]
    lines.append(f"start gomd here:      {_start_line(config, named)}")
    lines.append(f"see what is missing:  gom doctor{named}")
    if is_loopback(addresses_of(node)[0]):
        lines.append(
            f"the address {node.address} is this machine's alone: for a cluster, give --address one that the "
            "others reach"
        )
    else:
        lines.append("the next node: once gomd runs here, say `gom invite` here, and there:")
        lines.append(f"  gom init --join {addresses_of(node)[0]}{named}")
        lines.append("or, with a copy of the key in place of a code, there:")
        lines.append(f"  {next_line(node, named)}")
    return "\n".join(lines)


def _start_line(config: str, named: str) -> str:
    if config == ROOT_FILE:
        found, by_hand = installation(), f"    (without systemd: {twistd_name()} gomd)"
        if found.kind is InstalledBy.PACKAGE or found.is_service:
            return f"systemctl enable gomd && systemctl restart gomd{by_hand}"
        return found.service("enable --now") + by_hand
    return f"{twistd_name()} -n gomd{named}"


def next_line(node: NewNode, named: str = "") -> str:
    """
    Return the line that configures the next node: it fetches the key by scp, for whoever may read it here.

    :param named: the --config option, with a space before it, or nothing.
    """
    key = shlex.quote(node.key)
    how = "--multicast"
    if not node.multicast:
        known = dict.fromkeys((*(shown(each, PEER_PORT) for each in addresses_of(node)), *node.seeds))
        how = f"--seeds {shlex.quote(','.join(list(known)[:_MAX_SEEDS_SHOWN]))}"
    page = " --page" if node.page else ""
    directory = shlex.quote(os.path.dirname(node.key))
    host = addresses_of(node)[0]
    host = shlex.quote(f"[{host}]") if is_ipv6(host) else host
    return f"mkdir -p {directory} && scp -p {host}:{key} {key} && gom init --key {key} {how}{page}{named}"
