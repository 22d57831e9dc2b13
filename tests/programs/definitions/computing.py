"""Mathematics, solvers, and what puts a machine under stress."""

from __future__ import annotations

from typing import Final

from tests.programs.definition import Program, Refused
from tests.programs.inputs import numbers
from tests.programs.steps import ONE_TRY

_R = """
set.seed(4)
kept <- tempfile()
for (step in 1:12) {
  m <- matrix(rnorm(160000), 400)
  s <- svd(m)$d
  write(s[1:20], kept, append = TRUE)
  data <- data.frame(x = rnorm(20000), g = factor(sample(letters, 20000, TRUE)))
  fit <- lm(x ~ g, data)
  cat(step, format(sum(s), digits = 12), format(sum(coef(fit)), digits = 12), "\\n")
}
cat(length(scan(kept, quiet = TRUE)), file.exists(kept), "\\n")
"""

_OCTAVE = """
rand("twister", 5);
name = tempname();
for step = 1:16
  a = rand(420);
  e = sort(abs(eig(a)));
  save("-binary", name, "e");
  load(name);
  printf("%d %.12g %.12g\\n", step, sum(e), det(a / 8));
end
delete(name);
"""

_GP = """
default(parisize, 200000000);
print(sum(n = 1, 180, bigomega(2^n - 1)));
print(polroots(x^60 - 3*x + 1)[1]);
for(n = 1, 9, print(factor(10^33 + 7 * n)));
print(vecsum(vector(6000000, n, eulerphi(n))));
print(floor(Pi * 10^50));
"""

_MAXIMA = """
f: expand((x + y + z + 1)^22)$
print(length(f))$
print(length(expand(diff(f, x) * (x - y))))$
print(factor(x^210 - 1))$
print(integrate(1 / (x^5 + x + 1), x))$
print(sum(bern(n), n, 0, 300))$
"""

_GAP = """
x := 7;; s := 0;;
for i in [1 .. 20000000] do x := (x * 1103515245 + 12345) mod 2147483648; s := (s * 31 + x) mod 1000003; od;
Print(s, " ", Size(Group((1,2,3,4,5,6,7,8,9), (1,2))), " ", Factorial(30), "\\n");
QUIT;
"""


def _problem() -> bytes:
    """A knapsack that takes a solver some seconds, in CPLEX's format."""
    values = [int(line) % 900 + 100 for line in numbers(40, 100)().split()]
    weights = [[int(line) % 90 + 10 for line in numbers(41 + row, 100)().split()] for row in range(15)]
    lines = [
        "Maximize",
        " value: " + " + ".join(f"{value} x{n}" for n, value in enumerate(values)),
        "Subject To",
    ]
    for row, weight in enumerate(weights):
        terms = " + ".join(f"{each} x{n}" for n, each in enumerate(weight))
        lines.append(f" room{row}: {terms} <= {sum(weight) // 2}")
    lines += ["Binary", " " + " ".join(f"x{n}" for n in range(len(values))), "End", ""]
    return "\n".join(lines).encode()


def _queens(size: int) -> bytes:
    lines = [f"(declare-const q{n} Int)" for n in range(size)]
    lines += [f"(assert (and (<= 0 q{n}) (< q{n} {size})))" for n in range(size)]
    for one in range(size):
        for other in range(one):
            away = one - other
            lines.append(
                f"(assert (and (distinct q{one} q{other}) (distinct (+ q{one} {away}) q{other}) "
                f"(distinct (- q{one} {away}) q{other})))"
            )
    return ("\n".join(lines) + "\n(check-sat)\n").encode()


def _stress(stressor: str, operations: int, *more: str) -> tuple[str, ...]:
    return (
        "stress-ng",
        f"--{stressor}",
        "2",
        f"--{stressor}-ops",
        str(operations),
        "--verify",
        "--temp-path",
        "/tmp",
        "--stdout",
        *more,
    )


_STRESS_MASK = (rb"\d+\.\d+s", rb"\[\d+\]", rb"\(.*? secs?\)", rb"in \d[^\n]*", rb"\d+ secs?")

PROGRAMS: Final = (
    Program(
        "R",
        "linear algebra, models, tempfile()",
        ("Rscript", "--vanilla", "work.R"),
        {"Rscript": "r-base-core"},
        {"work.R": _R},
    ),
    Program(
        "octave",
        "linear algebra, files in /tmp",
        ("octave-cli", "--norc", "-q", "work.m"),
        {"octave-cli": "octave"},
        {"work.m": _OCTAVE},
    ),
    Program("pari", "number theory", ("gp", "-q", "-f", "work.gp"), {"gp": "pari-gp"}, {"work.gp": _GP}),
    Program(
        "maxima",
        "computer algebra; its Lisp runs without address randomization",
        ("maxima", "--very-quiet", "-b", "work.mac"),
        {"maxima": "maxima"},
        {"work.mac": _MAXIMA},
        steps=ONE_TRY,
        expect=Refused("personality"),
    ),
    Program("gap", "groups", ("gap", "-q", "-b", "-A", "work.g"), {"gap": "gap-core"}, {"work.g": _GAP}),
    Program(
        "glpsol",
        "an integer program",
        ("glpsol", "--lp", "work.lp", "--cuts", "--tmlim", "1000", "-o", "result"),
        {"glpsol": "glpk-utils"},
        {"work.lp": _problem},
        mask=(rb"Time used:[^\n]*", rb"Memory used:[^\n]*", rb"mip = [^\n]*", rb"\+ *\d+:[^\n]*"),
    ),
    Program(
        "z3",
        "queens on a board",
        ("sh", "-c", "for n in 1 2 3; do z3 work.smt2 || exit; done"),
        {"z3": "z3"},
        {"work.smt2": lambda: _queens(28)},
    ),
    Program(
        "stress-ng cpu",
        "all of its computations, which it checks",
        _stress("cpu", 6000),
        {"stress-ng": "stress-ng"},
        mask=_STRESS_MASK,
    ),
    Program(
        "stress-ng vm",
        "memory that it fills and checks",
        _stress("vm", 90000, "--vm-bytes", "60M"),
        {"stress-ng": "stress-ng"},
        mask=_STRESS_MASK,
    ),
    Program(
        "stress-ng sem-sysv",
        "System V semaphores, which it gives to another user",
        _stress("sem-sysv", 2000000),
        {"stress-ng": "stress-ng"},
        steps=ONE_TRY,
        expect=Refused("was given to another user than its maker"),
        mask=_STRESS_MASK,
    ),
    Program(
        "stress-ng msg",
        "System V message queues",
        _stress("msg", 8000000),
        {"stress-ng": "stress-ng"},
        mask=_STRESS_MASK,
    ),
    Program(
        "stress-ng shm",
        "POSIX shared memory",
        _stress("shm", 400),
        {"stress-ng": "stress-ng"},
        mask=_STRESS_MASK,
    ),
    Program(
        "stress-ng hdd",
        "files that it writes and reads in /tmp",
        _stress("hdd", 60000, "--hdd-bytes", "40M"),
        {"stress-ng": "stress-ng"},
        mask=_STRESS_MASK,
    ),
    Program(
        "stress-ng timerfd",
        "timers",
        _stress("timerfd", 300000),
        {"stress-ng": "stress-ng"},
        mask=_STRESS_MASK,
    ),
)
