"""Compilers and builds, with what they make run afterwards."""

from __future__ import annotations

from typing import Final

from tests.programs.definition import Program, Refused
from tests.programs.inputs import c_source
from tests.programs.steps import ONE_TRY

_PARTS = 12
_MAKEFILE = """
OBJECTS = {objects} main.o
CFLAGS = -O2
all: program
\t./program >result
program: $(OBJECTS)
\t$(CC) -o $@ $(OBJECTS)
main.c:
\tprintf '#include <stdio.h>\\n{declared}int main(void) {{ unsigned long x = 1;{called} printf("%%lx\\\\n", x); }}\\n' >$@
""".format(
    objects=" ".join(f"part{n}.o" for n in range(_PARTS)),
    declared="".join(f"unsigned long part{n}(unsigned long);\\n" for n in range(_PARTS)),
    called="".join(f" x = part{n}(x);" for n in range(_PARTS)),
)

_TCC = """
#include <stdio.h>
static unsigned long table[1 << 16];
int main(void)
{
    unsigned long x = 88172645463325252UL, sum = 0;
    for (long i = 0; i < 1200000000L; i++) {
        x ^= x << 13; x ^= x >> 7; x ^= x << 17;
        table[x & 0xffff] += x;
        if (i % 120000000 == 0) { printf("%ld %lx\\n", i, x); fflush(stdout); }
    }
    for (int i = 0; i < 1 << 16; i++) sum = sum * 31 + table[i];
    printf("%lx\\n", sum);
    return 0;
}
"""

_CARGO = """
use std::collections::BTreeMap;
use std::fmt::Debug;
{functions}
fn main() {{
    let mut seen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    {calls}
    println!("{{:?}}", seen.len());
    println!("{{:?}}", seen.values().flatten().fold(7u64, |a, b| a.wrapping_mul(31).wrapping_add(*b)));
}}
"""


def _rust() -> bytes:
    functions, calls = [], []
    for n in range(60):
        functions.append(
            f"fn step{n}<T: Debug + Clone>(seen: &mut BTreeMap<String, Vec<u64>>, items: &[T]) {{\n"
            f"    for (place, item) in items.iter().cloned().enumerate().filter(|(p, _)| p % {n % 5 + 1} == 0) {{\n"
            f'        let key = format!("{{:?}}-{n}", item);\n'
            f"        let value = key.bytes().fold({n}u64, |a, b| a.rotate_left(5) ^ b as u64);\n"
            "        seen.entry(key).or_default().push(value + place as u64);\n    }\n}\n"
        )
        calls.append(f"step{n}(&mut seen, &[1u8, 2, 3]); step{n}(&mut seen, &[(1.5f64, {n})]);")
    return _CARGO.format(functions="".join(functions), calls="\n    ".join(calls)).encode()


_GO = """
package main

import (
\t"crypto/sha256"
\t"encoding/json"
\t"fmt"
\t"net/http"
\t"sort"
\t"sync"
)

func main() {
\tvar wait sync.WaitGroup
\tvar lock sync.Mutex
\tsums := map[string]string{}
\tfor n := 0; n < 4; n++ {
\t\twait.Add(1)
\t\tgo func(n int) {
\t\t\tdefer wait.Done()
\t\t\tsum := sha256.Sum256([]byte{byte(n)})
\t\t\tfor i := 0; i < 2500000; i++ {
\t\t\t\tsum = sha256.Sum256(sum[:])
\t\t\t}
\t\t\tlock.Lock()
\t\t\tsums[fmt.Sprint(n)] = fmt.Sprintf("%x", sum)
\t\t\tlock.Unlock()
\t\t}(n)
\t}
\twait.Wait()
\tkeys := []string{}
\tfor key := range sums {
\t\tkeys = append(keys, key)
\t}
\tsort.Strings(keys)
\ttext, _ := json.Marshal(sums)
\tfmt.Println(string(text), keys, http.StatusText(204))
}
"""

_HASKELL = """
module Main where
import qualified Data.Map.Strict as M
{functions}
main :: IO ()
main = do
  let seen = M.fromListWith (+) [(x `mod` 9973, step0 x) | x <- [1 .. 200000 :: Int]]
  print (M.size seen, M.foldl' (\\a b -> (a * 31 + b) `mod` 1000000007) 7 seen)
"""


def _haskell() -> bytes:
    functions = [
        f"step{n} :: Int -> Int\nstep{n} x\n  | x `mod` {n + 2} == 0 = step{n + 1} (x `div` {n + 2})\n"
        f"  | otherwise = case x `mod` 7 of\n      0 -> x + {n}\n      1 -> step{n + 1} (x * 3 + {n})\n"
        f"      _ -> sum (map (`div` {n + 1}) [x .. x + {n % 5}])\n"
        for n in range(60)
    ]
    return _HASKELL.format(functions="".join(functions) + "step60 :: Int -> Int\nstep60 = (+ 1)\n").encode()


_FORTRAN = """
program work
  implicit none
  integer, parameter :: n = 520
  real(8), allocatable :: a(:,:), b(:,:), c(:,:)
  integer :: i, j, k, round
  allocate(a(n,n), b(n,n), c(n,n))
  do j = 1, n
    do i = 1, n
      a(i,j) = mod(i * j, 17) / 16d0
      b(i,j) = mod(i + 3 * j, 13) / 12d0
    end do
  end do
  open(unit=10, status='scratch')
  do round = 1, 70
    c = 0
    do j = 1, n
      do k = 1, n
        do i = 1, n
          c(i,j) = c(i,j) + a(i,k) * b(k,j)
        end do
      end do
    end do
    a = c / maxval(c)
    write(10, *) round, sum(a)
    print *, round, sum(a)
  end do
  rewind(10)
  do i = 1, 70
    read(10, *) round, a(1,1)
    print *, round, a(1,1)
  end do
end program
"""

PROGRAMS: Final = (
    Program(
        "make and gcc",
        "make -j2: compilers, assemblers, a linker, and the program they make",
        ("make", "-s", "-j2"),
        {"make": "make", "gcc": "gcc"},
        {"Makefile": _MAKEFILE, **{f"part{n}.c": c_source(n, 80, f"part{n}") for n in range(_PARTS)}},
    ),
    Program(
        "g++",
        "one long translation with templates",
        ("g++", "-O2", "-pipe", "-c", "-o", "work.o", "work.cc"),
        {"g++": "g++"},
        {
            "work.cc": "#include <map>\n#include <regex>\n#include <string>\n#include <algorithm>\n"
            'int count(const std::string &text) { std::regex words("[a-z]+"); std::map<std::string, int> seen;\n'
            "for (std::sregex_iterator it(text.begin(), text.end(), words), end; it != end; ++it) seen[it->str()]++;\n"
            "return std::max_element(seen.begin(), seen.end())->second; }\n"
        },
    ),
    Program(
        "clang",
        "one large file",
        ("clang", "-O2", "-c", "-o", "large.o", "large.c"),
        {"clang": "clang"},
        {"large.c": c_source(50, 500, "large")},
    ),
    Program(
        "tcc",
        "compiles in memory and runs that",
        ("tcc", "-run", "work.c"),
        {"tcc": "tcc"},
        {"work.c": _TCC},
    ),
    Program(
        "bison and gcc",
        "a large grammar, and the parser compiled",
        (
            "sh",
            "-c",
            "bison -Dlr.type=canonical-lr --no-lines -o parser.c grammar.y 2>/dev/null; gcc -O2 -c parser.c -o parser.o; sha256sum parser.o",
        ),
        {"bison": "bison", "gcc": "gcc"},
        {
            "grammar.y": lambda: (
                "%token W\n%{\nint yylex(void); void yyerror(const char *s);\n%}\n%%\n"
                + "input: "
                + " | ".join(f"r{n}" for n in range(1600))
                + ";\n"
                + "".join(
                    f"r{n}: 'a' W r{(n * 7 + 1) % 1600} 'b' | W 'c' r{(n * 3 + 2) % 1600} | 'd' r{(n + 1) % 1600} 'e' W | W 'f' W;\n"
                    for n in range(1600)
                )
            ).encode()
        },
    ),
    Program(
        "cargo build",
        "cargo locks its directory, which both hosts see, as long as it builds",
        ("sh", "-c", "cargo build -q --release --offline && ./target/release/work"),
        {"cargo": "cargo", "gcc": "gcc"},
        {
            "Cargo.toml": '[package]\nname = "work"\nversion = "0.1.0"\nedition = "2021"\n',
            "src/main.rs": _rust,
        },
        ignore=("target/*",),
        steps=ONE_TRY,
        expect=Refused("holds a lock on"),
    ),
    Program(
        "cargo build in tmp",
        "cargo and rustc with its directories in /tmp, and the program they make",
        (
            "env",
            "CARGO_HOME=/tmp/cargo",
            "CARGO_TARGET_DIR=/tmp/target",
            "sh",
            "-c",
            "cargo build -q --release --offline && /tmp/target/release/work && rm -r /tmp/target /tmp/cargo",
        ),
        {"cargo": "cargo", "gcc": "gcc"},
        {
            "Cargo.toml": '[package]\nname = "work"\nversion = "0.1.0"\nedition = "2021"\n',
            "src/main.rs": _rust,
        },
    ),
    Program(
        "go build",
        "go with its cache in the directory, and the program it makes",
        (
            "env",
            "GOCACHE=/home/nobody/go-build/cache",
            "GOFLAGS=-p=2",
            "GOPATH=/home/nobody/go-build/path",
            "sh",
            "-c",
            "go build -o work work.go && ./work",
        ),
        {"go": "golang-go"},
        {"work.go": _GO},
        ignore=("cache/*", "path/*"),
    ),
    Program(
        "ghc",
        "compiles a module and runs it",
        ("sh", "-c", "ghc -v0 -O1 Main.hs -o work && ./work"),
        {"ghc": "ghc"},
        {"Main.hs": _haskell},
        ignore=("*.o", "*.hi", "work"),
    ),
    Program(
        "gfortran",
        "compiles a program with a scratch file and runs it",
        ("sh", "-c", "gfortran -O1 work.f90 -o work && ./work"),
        {"gfortran": "gfortran"},
        {"work.f90": _FORTRAN},
    ),
)
