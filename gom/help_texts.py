"""The texts that `gom --help` and `gom migrate --help` print."""

from __future__ import annotations

from typing import Final

MIGRATE_USAGE: Final = """\
usage: gom migrate [--dry-run] PID NODE|home|best

  PID        the process, by its number here; its whole job moves with it
  NODE       the node to move it to, by id or name; home: where it was started; best: the best node now
  --dry-run  move nothing, only say whether it could, or every reason why not

The command returns when the process runs there, or says why it stays. Ctrl-C ends the waiting, not the move.
"""
USAGE: Final = """\
usage: gom [-c ENDPOINT] [-t TOKEN] [--json] [@NODE] VERB [ARG ...]
       gom run [OPTION ...] COMMAND [ARG ...]
       gom attach [OPTION ...] JOB
       gom top [OPTION ...]
       gom mon [OPTION ...]
       gom do NAME [-n NODES]
       gom page [--no-open]
       gom init [OPTION ...]
       gom invite [OPTION ...]
       gom doctor [OPTION ...] [PID NODE]
       gom mount [OPTION ...] DIR
       gom completion bash|zsh|fish
       gom key new FILE
       gom token add NAME ROLE [--file TOKENS]
       gom token list [--file TOKENS]
       gom token remove NAME [--file TOKENS]

  -c ENDPOINT  the daemon to ask: unix:PATH or tcp:HOST:PORT. Default: $GOMD_ENDPOINT, else the
               unix socket of your own daemon or of root's, else tcp:127.0.0.1:2901, where any
               program may listen: only verbs that read are sent there unless you name it
  -t TOKEN     your token, for tcp; better in $GOMD_TOKEN, where `ps` does not show it
  --json       answer in JSON, one object a line
  @NODE        send the verb to that node, by id or name; @all sends it to every node that is up

  VERB         what to ask the daemon: `gom help` lists the verbs, such as nodes, ps, jobs and kill;
               `gom VERB --help` explains one
  run          run a command on the best node, or on one you name; see `gom run --help`
  attach       connect to a job again, by its number in `gom jobs`
  mon          the nodes of the cluster as bars or a map, live; see `gom mon --help`
  migrate      move a process to another node; see `gom migrate --help`
  top          every process of the cluster, live on one screen; see `gom top --help`
  do           run a command of [commands], here or on many nodes; see `gom do --help`
  page         open the page in a browser, signed in as you; see `gom page --help`
  history      show values of a node over time; see `gom history --help`. `ps` and `nodes` take --at T,
               and `events` --since T, for what was then: T is 15m, 12h, 3d, HH:MM or a date
  report       write charts of some hours into an HTML file; see `gom report --help`
  init         configure this machine as a node of a cluster; see `gom init --help`
  invite       let one more node join, by a code that is good once; see `gom invite --help`
  doctor       what works on this node and in its cluster, and what mends the rest; see `gom doctor --help`
  mount        make the tree of openMosix's names a file system; see `gom mount --help`
  completion   print what completes the words of gom in a shell; see `gom completion --help`
  key new      make the secret that all nodes of a cluster share
  token        give people and programs a role over tcp; ROLE is read, user or admin;
               TOKENS is the daemon's tokens file, by default the one in its state directory

Exit status: 0 done, 1 the daemon refused, 2 wrong usage, 3 no daemon there; `run` and `do` pass on
the command's own, 128 + the signal's number if one ended it.
"""
