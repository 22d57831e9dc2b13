"""
The serf engine: membership by a Serf agent, the administrator's own or one that gomd runs.

Only this package imports msgpack, in which the agent speaks. See docs/serf.md.
"""

from gomd.cluster.serf.agent_files import AgentFiles, agent_name, check_serf_ports
from gomd.cluster.serf.agent_process import SerfAgent
from gomd.cluster.serf.engine import Serf
from gomd.cluster.serf.link import AgentLink
from gomd.cluster.serf.own_agent import AdministratorsAgent, read_auth_file

__all__ = [
    "AdministratorsAgent", "AgentFiles", "AgentLink", "Serf", "SerfAgent", "agent_name",
    "check_serf_ports", "read_auth_file",
]  # fmt: skip
