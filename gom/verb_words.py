"""The verbs of the daemon: usage, role and summary of each. Made by `python -m gomd.verbs.gom_words`."""

from typing import Final

VERBS: Final[dict[str, tuple[str, str, str]]] = {
    "help": (
        "help [VERB]",
        "none",
        "list all verbs, or one of them",
    ),
    "version": (
        "version",
        "read",
        "show the version of gomd and of the protocol",
    ),
    "whoami": (
        "whoami",
        "none",
        "show your role, your user name and how you are connected",
    ),
    "stats": (
        "stats [NAME ...]",
        "read",
        "list what the daemon counts about itself, or these counters",
    ),
    "page": (
        "page",
        "read",
        "a one-time code for the page, good for a minute; `gom page` opens the page with it",
    ),
    "invitation": (
        "invitation [STATE] [NAME] [ADDRESS]",
        "admin",
        "what a new node must be told; `gom invite` invites one",
    ),
    "doctor": (
        "doctor [QUESTION ...]",
        "read",
        "what works on this node, and what mends the rest",
    ),
    "nodes": (
        "nodes [--at=T]",
        "read",
        "list every node of the cluster and its values, or those of a moment",
    ),
    "node": (
        "node [NODE]",
        "read",
        "show one node and its values",
    ),
    "load": (
        "load [NODE]",
        "read",
        "show the load: 100 is one busy process on a standard CPU",
    ),
    "speed": (
        "speed [NODE]",
        "read",
        "show the speed of a CPU: a standard one has 15000",
    ),
    "mem": (
        "mem [NODE]",
        "read",
        "show memory in bytes: available, free, total",
    ),
    "util": (
        "util [NODE]",
        "read",
        "show the usable share of the CPUs: 100 for each",
    ),
    "cpus": (
        "cpus [NODE]",
        "read",
        "show how many CPUs are online",
    ),
    "status": (
        "status [NODE]",
        "read",
        "show the status bits and their names",
    ),
    "map": (
        "map",
        "read",
        "list the nodes as in a map file of openMosix",
    ),
    "ls": (
        "ls PATH",
        "read",
        "list the names in a directory of the tree, which begins at /proc",
    ),
    "get": (
        "get PATH",
        "read",
        "show the lines of a file of the tree",
    ),
    "put": (
        "put PATH VALUE",
        "admin",
        "write a value of the tree",
    ),
    "ps": (
        "ps [PID ...] [--top=N] [--sort=cpu|rss|time|io|pid|start] [--user=NAME] [--match=TEXT] "
        "[--jobs] [--fields=NAME,...] [--at=T] [--of=NODE]",
        "read",
        "list all processes, or those with these ids; options select some, see docs/line.md",
    ),
    "where": (
        "where PID [NODE]",
        "read",
        "show the id of the node a process runs on; NODE is its home",
    ),
    "signal": (
        "signal PID SIG",
        "user",
        "send a signal by name or number; PID or identity",
    ),
    "renice": (
        "renice PID N",
        "user",
        "set the niceness, -20 to 19; PID or identity",
    ),
    "run": (
        "run [HOME-JOB]",
        "user",
        "run a command here or on another node; `gom run` says it",
    ),
    "jobs": (
        "jobs",
        "user",
        "your jobs, everybody's for an admin",
    ),
    "attach": (
        "attach JOB",
        "user",
        "take up the streams of a job again; `gom attach` says it",
    ),
    "carry": (
        "carry JOB [STEP]",
        "user",
        "bring the carried files of a job that is over home",
    ),
    "kill": (
        "kill JOB [SIG]",
        "user",
        "end a job, or send it another signal",
    ),
    "migrate": (
        "migrate PID NODE|home|best [dry-run]",
        "user",
        "move a process; dry-run: only say if it could",
    ),
    "lock": (
        "lock PID",
        "user",
        "balancing leaves this process where it is",
    ),
    "unlock": (
        "unlock PID",
        "user",
        "balancing may move this process",
    ),
    "history": (
        "history NODE FIELD[,FIELD...] [--since=T] [--until=T] [--points=N]",
        "read",
        "show values of a node over time: load, mem, ...; docs/history.md lists them",
    ),
    "busiest": (
        "busiest",
        "read",
        "list the processes that use most processor time and memory",
    ),
    "measures": (
        "measures [NAME]",
        "read",
        "list file systems, CPU time by mode, sockets, temperatures ...",
    ),
    "watch": (
        "watch VERB ...",
        "read",
        "repeat a verb that reads: [-n SECONDS] [-c COUNT] [--most N] [@NODE or @all]",
    ),
    "events": (
        "events [--kind=KIND,...] [--newest=N] [--since=T] [--until=T]",
        "read",
        "list what happened to nodes and processes",
    ),
    "switches": (
        "switches",
        "read",
        "who set stay, lstay, block and quiet, when and why",
    ),
    "bring": (
        "bring [REASON ...]",
        "admin",
        "all local processes are home; lstay is set",
    ),
    "expel": (
        "expel [REASON ...]",
        "admin",
        "all guests are gone; block is set",
    ),
    "stay": (
        "stay [REASON ...]",
        "admin",
        "no process leaves this node by balancing",
    ),
    "nostay": (
        "nostay [REASON ...]",
        "admin",
        "processes may leave this node by balancing",
    ),
    "lstay": (
        "lstay [REASON ...]",
        "admin",
        "no local process leaves this node by balancing",
    ),
    "nolstay": (
        "nolstay [REASON ...]",
        "admin",
        "local processes may leave this node by balancing",
    ),
    "block": (
        "block [REASON ...]",
        "admin",
        "this node takes no guests",
    ),
    "noblock": (
        "noblock [REASON ...]",
        "admin",
        "this node takes guests",
    ),
    "quiet": (
        "quiet [REASON ...]",
        "admin",
        "this node does not share its load information",
    ),
    "noquiet": (
        "noquiet [REASON ...]",
        "admin",
        "this node shares its load information",
    ),
    "setspeed": (
        "setspeed N",
        "admin",
        "set the speed of a CPU of this node",
    ),
    "setyard": (
        "setyard N",
        "admin",
        "set the speed of a standard CPU",
    ),
    "do": (
        "do NAME",
        "admin",
        "run a command of [commands]",
    ),
    "checkpoint": (
        "checkpoint NAME",
        "admin",
        "write a mark into the sample log, to find this moment again",
    ),
    "shutdown": (
        "shutdown",
        "admin",
        "stop the daemon",
    ),
}
