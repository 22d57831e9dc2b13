"""Shells, and what is used in their pipelines."""

from __future__ import annotations

from typing import Final

from tests.programs.definition import ROOT, Program
from tests.programs.inputs import numbers, words

_BASH = r"""
declare -A seen
RANDOM=7
for ((i = 0; i < 260000; i++)); do
    key=$((RANDOM % 97))
    seen[$key]=$(( (${seen[$key]:-1} * 31 + i) % 1000003 ))
    if ((i % 4000 == 0)); then
        sum=$(printf '%s\n' "${seen[@]}" | cksum <<<"$i ${seen[$key]}")
        echo "$i $sum" >>steps
    fi
done
for key in "${!seen[@]}"; do echo "$key ${seen[$key]}"; done | sort -n
"""

_DASH = r"""
trap 'echo caught' USR1
total=0
i=0
while [ $i -lt 1500 ]; do
    cat <<END | tr 0-9 a-j >>kept
line $i
END
    (exit $((i % 7))) &
    wait $!
    total=$((total + $?))
    [ $((i % 500)) -ne 3 ] || kill -USR1 $$
    j=0
    while [ $j -lt 300 ]; do j=$((j + 1)); done
    i=$((i + 1))
done
echo $total
cksum <kept
"""

_BUSYBOX = r"""
i=0
while [ $i -lt 500 ]; do
    seq 1 20000 | sed 's/1/one/g' | grep -v 7 | md5sum >>sums
    i=$((i + 1))
done
sort sums | uniq -c
"""

_GAWK = r"""
BEGIN { srand(3); sort = "sort -n -S 1M" }
{ for (field = 1; field <= NF; field++) { count[$field]++; length_of[length($field)] += field } }
NR % 50 == 0 { print rand(), NR | "sha256sum" }
END {
    for (each in count) print count[each], each | (sort " -k1,1 -k2 >counts")
    for (each in length_of) print each, length_of[each] | sort
}
"""

_MAWK = r"""
{ sum = (sum * 33 + length($0)) % 1000000007; for (i = 1; i <= NF; i++) seen[$i] += NR }
END { for (each in seen) { total += seen[each] % 9973 }; print NR, sum, total }
"""

_M4 = r"""define(`power', `ifelse($2, 0, 1, `eval($1 * power($1, decr($2)) % 65521)')')dnl
define(`loop', `ifelse($1, 0, , `power(3, 60) loop(decr($1))')')dnl
define(`again', `ifelse($1, 0, , `loop(200)
again(decr($1))')')dnl
again(60)
"""

_SED = r"""
:again
s/\([0-9a-f]\)\([0-9a-f]\)\1/\2/g
tagain
s/a\(.*\)b/<\1>/
y/0123456789/9876543210/
"""

PROGRAMS: Final = (
    Program(
        "bash",
        "associative arrays, command substitution, here-strings",
        ("bash", "work.sh"),
        {"bash": "bash"},
        {"work.sh": _BASH},
        light=True,
    ),
    Program(
        "dash",
        "background processes, wait, traps, here-documents",
        ("dash", "work.sh"),
        {"dash": "dash"},
        {"work.sh": _DASH},
        light=True,
    ),
    Program(
        "busybox",
        "its own shell and tools, in pipelines",
        ("busybox", "sh", "work.sh"),
        {"busybox": "busybox-static"},
        {"work.sh": _BUSYBOX},
    ),
    Program(
        "sort",
        "more than its memory holds: temporary files in /tmp, open and closed ones",
        ("sh", "-c", "sort -g -S 2M --parallel=1 numbers | sha256sum"),
        {"sort": "coreutils"},
        {"numbers": numbers(1, 1_000_000)},
        light=True,
    ),
    Program(
        "sort as root",
        "two threads and temporary files, with a file as output",
        ("sort", "-g", "-r", "-S", "8M", "--parallel=2", "-o", "sorted", "numbers"),
        {"sort": "coreutils"},
        {"numbers": numbers(2, 1_500_000)},
        user=ROOT,
    ),
    Program(
        "gawk",
        "arrays, two pipes to sort and one to sha256sum",
        ("gawk", "-f", "work.awk", "text", "text", "text", "text"),
        {"gawk": "gawk"},
        {"work.awk": _GAWK, "text": words(3, 3_000_000)},
    ),
    Program(
        "mawk",
        "sums over a text",
        ("mawk", "-f", "work.awk", "text", "text", "text"),
        {"mawk": "mawk"},
        {"work.awk": _MAWK, "text": words(4, 5_000_000)},
    ),
    Program(
        "sed",
        "loops of substitutions",
        ("sed", "-f", "work.sed", "text", "text", "text"),
        {"sed": "sed"},
        {"work.sed": _SED, "text": words(5, 400_000)},
    ),
    Program(
        "m4", "macros that expand themselves", ("m4", "-L", "8192", "work.m4"), {"m4": "m4"}, {"work.m4": _M4}
    ),
    Program(
        "bc",
        "digits of pi",
        ("bc", "-l", "work.bc"),
        {"bc": "bc"},
        {"work.bc": "scale = 3000\n4 * a(1)\nquit\n"},
    ),
    Program(
        "xargs",
        "two processes at a time, over many files",
        (
            "sh",
            "-c",
            "find input -type f | sort | xargs -n 1 -P 2 sh -c 'sha512sum <$0 >$0.sum; bzip2 -9k $0' "
            "&& cat input/*.sum | sha256sum",
        ),
        {"xargs": "findutils", "bzip2": "bzip2"},
        {f"input/{name}": words(name, 250_000) for name in range(10, 26)},
    ),
)
