"""Interpreters and virtual machines of other languages."""

from __future__ import annotations

from typing import Final

from tests.programs.definition import Program

_PERL = r"""
use strict; use warnings; use File::Temp qw(tempfile); use Digest::SHA qw(sha256_hex);
my ($kept, $name) = tempfile(UNLINK => 1);
my @children;
for my $number (1 .. 3) {
    pipe(my $read, my $write);
    my $pid = fork;
    if (!$pid) {
        my $sum = "seed $number";
        $sum = sha256_hex($sum x 5) for 1 .. 350000;
        print $write "$number $sum\n";
        close $write;
        exit $number;
    }
    close $write;
    push @children, [$pid, $read];
}
my %count;
for my $number (1 .. 1500000) { $count{$number * 7919 % 1009} += $number; print $kept "$number\n" if $number % 1000 == 0 }
for (@children) { my ($pid, $read) = @$_; print <$read>; waitpid $pid, 0; print $? >> 8, "\n" }
seek $kept, 0, 0;
my @lines = <$kept>;
print scalar(@lines), " ", sha256_hex(join "", map { "$_ $count{$_}\n" } sort keys %count), "\n";
"""

_LUA = r"""
local kept, seen = io.tmpfile(), {}
local x = 12345
for i = 1, 90000000 do
  x = (x * 1103515245 + 12345) % 2147483648
  local key = x % 5003
  seen[key] = (seen[key] or 0) + i % 97
  if i % 100000 == 0 then kept:write(i, " ", x, "\n") end
end
kept:seek("set")
local sum, lines = 0, 0
for line in kept:lines() do lines = lines + 1 end
for key = 0, 5002 do sum = (sum * 31 + (seen[key] or 0)) % 1000000007 end
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
print(lines, sum, x, co(), co())
"""

_RUBY = r"""
require "digest"; require "tempfile"; require "json"
kept = Tempfile.new("kept")
threads = 3.times.map { |n| Thread.new { v = n.to_s; 400_000.times { v = Digest::SHA256.hexdigest(v * 3) }; v } }
read, write = IO.pipe
pid = fork { read.close; v = "child"; 700_000.times { v = Digest::MD5.hexdigest(v) }; write.puts v; exit! 3 }
write.close
seen = Hash.new(0)
2_000_000.times { |n| seen["k#{n % 1000}"] += n; kept.puts n if n % 1000 == 0 }
puts threads.map(&:value), read.read
Process.wait pid
kept.flush
puts $?.exitstatus, File.readlines(kept.path).size, Digest::SHA256.hexdigest(JSON.dump(seen))
"""

_PHP = r"""<?php
$kept = tmpfile(); $seen = []; mt_srand(4);
for ($i = 0; $i < 60000000; $i++) {
    $key = mt_rand(0, 4999);
    $seen[$key] = (($seen[$key] ?? 1) * 31 + $i) % 1000003;
    if ($i % 100000 == 0) fwrite($kept, "$i $key\n");
}
rewind($kept); ksort($seen);
echo hash("sha256", json_encode($seen)), " ", hash("sha256", stream_get_contents($kept)), "\n";
"""

_NODE = r"""
const { Worker, isMainThread, parentPort, workerData } = require("worker_threads");
const crypto = require("crypto"), fs = require("fs"), os = require("os"), path = require("path");
if (isMainThread) {
  const place = fs.mkdtempSync(path.join(os.tmpdir(), "work-"));
  const shared = new Int32Array(new SharedArrayBuffer(64));
  const results = {};
  let ticks = 0;
  const timer = setInterval(() => ticks++, 100);
  const done = [0, 1, 2].map((n) => new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: { n, place, shared } });
    worker.on("message", (value) => { results[n] = value; });
    worker.on("error", reject);
    worker.on("exit", resolve);
  }));
  Promise.all(done).then(() => {
    clearInterval(timer);
    console.log(results, shared[0], ticks > 5, fs.readdirSync(place).sort());
    fs.rmSync(place, { recursive: true });
  });
} else {
  const { n, place, shared } = workerData;
  let value = `${n}`;
  for (let i = 0; i < 700000; i++) {
    value = crypto.createHash("sha256").update(value.repeat(4)).digest("hex");
    if (i % 1000 === 0) { fs.appendFileSync(path.join(place, `${n}`), value); Atomics.add(shared, 0, 1); }
  }
  parentPort.postMessage(value);
}
"""

_JAVA = r"""
import java.nio.file.*; import java.security.*; import java.util.*; import java.util.concurrent.*;
public class Work {
    public static void main(String[] args) throws Exception {
        Path place = Files.createTempDirectory("work");
        ExecutorService pool = Executors.newFixedThreadPool(3);
        List<Future<String>> results = new ArrayList<>();
        ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
        int[] ticks = {0};
        timer.scheduleAtFixedRate(() -> ticks[0]++, 50, 50, TimeUnit.MILLISECONDS);
        for (int n = 0; n < 12; n++) {
            int number = n;
            results.add(pool.submit(() -> {
                MessageDigest sha = MessageDigest.getInstance("SHA-256");
                byte[] value = {(byte) number};
                for (int i = 0; i < 600000; i++) value = sha.digest(value);
                Files.write(place.resolve("" + number), value);
                List<byte[]> rubbish = new ArrayList<>();
                for (int i = 0; i < 2000; i++) rubbish.add(new byte[i * 10]);
                return HexFormat.of().formatHex(value) + rubbish.size();
            }));
        }
        for (Future<String> result : results) System.out.println(result.get());
        pool.shutdown(); timer.shutdownNow();
        for (int n = 0; n < 12; n++) Files.delete(place.resolve("" + n));
        Files.delete(place);
        System.out.println(ticks[0] > 5);
    }
}
"""

_GUILE = r"""
(use-modules (ice-9 threads))
(define (work n)
  (let loop ((i 0) (x n) (seen '()))
    (if (= i 6000000) (list x (length seen))
        (loop (+ i 1) (modulo (+ (* x 1103515245) 12345) 2147483648)
              (if (zero? (modulo i 1000)) (cons x seen) seen)))))
(display (par-map work '(1 2)))
(newline)
"""

_OCAML = r"""
module M = Map.Make(Int)
let () =
  let name, file = Filename.open_temp_file "work" ".txt" in
  let rec go i x seen =
    if i = 3000000 then seen
    else begin
      if i mod 10000 = 0 then Printf.fprintf file "%d %d\n" i x;
      let x = (x * 1103515245 + 12345) land 0x7fffffff in
      go (i + 1) x (M.update (x mod 5003) (function None -> Some 1 | Some n -> Some (n + i mod 97)) seen)
    end in
  let seen = go 0 7 M.empty in
  close_out file;
  Printf.printf "%d %d\n" (M.cardinal seen) (M.fold (fun k v a -> (a * 31 + k + v) mod 1000003) seen 1);
  Printf.printf "%s\n" (Digest.to_hex (Digest.file name));
  Sys.remove name
"""

_SBCL = r"""
(defun work (n)
  (let ((seen (make-hash-table)) (x 7))
    (dotimes (i n)
      (setf x (mod (+ (* x 1103515245) 12345) 2147483648))
      (incf (gethash (mod x 5003) seen 0) (mod i 97)))
    (let ((sum 0))
      (dotimes (key 5003) (setf sum (mod (+ (* sum 31) (gethash key seen 0)) 1000000007)))
      (list sum x (expt 3 200)))))
(print (work 70000000))
(terpri)
"""

_FORTH = r"""
variable x  7 x !
create table 65536 cells allot  table 65536 cells erase
: next x @ 1103515245 * 12345 + 2147483647 and dup x ! ;
: work 0 do next 65535 and cells table + dup @ i 97 mod + swap ! loop ;
: total 0 65536 0 do 31 * i cells table + @ + 1000000007 mod loop ;
250000000 work total . x @ . cr bye
"""

_TCL = r"""
set x 7
set file [file tempfile name]
for {set i 0} {$i < 3500000} {incr i} {
    set x [expr {($x * 1103515245 + 12345) & 0x7fffffff}]
    incr seen([expr {$x % 5003}]) [expr {$i % 97}]
    if {$i % 10000 == 0} {puts $file "$i $x"}
}
close $file
set sum 0
foreach key [lsort -integer [array names seen]] {set sum [expr {($sum * 31 + $seen($key)) % 1000000007}]}
puts "[array size seen] $sum [file size $name]"
file delete $name
"""

_ERLANG = r"""
work(N) -> lists:foldl(fun(I, X) -> (X * 1103515245 + 12345 + I) band 16#7fffffff end, N, lists:seq(1, 70000)).
main(_) ->
    Self = self(),
    Table = ets:new(kept, [set, public]),
    [spawn(fun() -> ets:insert(Table, {N, [work(N + K) || K <- lists:seq(1, 4)]}), Self ! {done, N} end) || N <- lists:seq(1, 8)],
    [receive {done, N} -> ok end || N <- lists:seq(1, 8)],
    io:format("~p~n", [lists:sort(ets:tab2list(Table))]).
"""

PROGRAMS: Final = (
    Program(
        "perl",
        "children with pipes, a temporary file",
        ("perl", "work.pl"),
        {"perl": "perl"},
        {"work.pl": _PERL},
        light=True,
    ),
    Program(
        "lua",
        "tables, coroutines, a deleted temporary file",
        ("lua5.4", "work.lua"),
        {"lua5.4": "lua5.4"},
        {"work.lua": _LUA},
    ),
    Program(
        "luajit",
        "the same, compiled while it runs",
        ("luajit", "-e", "for i = 1, 4 do dofile('work.lua') end"),
        {"luajit": "luajit"},
        {"work.lua": _LUA},
    ),
    Program(
        "ruby",
        "threads, a child, a temporary file",
        ("ruby", "work.rb"),
        {"ruby": "ruby"},
        {"work.rb": _RUBY},
    ),
    Program(
        "php", "arrays, a temporary file", ("php", "-n", "work.php"), {"php": "php-cli"}, {"work.php": _PHP}
    ),
    Program(
        "node",
        "three workers, shared memory, timers, files in /tmp",
        ("node", "work.js"),
        {"node": "nodejs"},
        {"work.js": _NODE},
    ),
    Program(
        "java",
        "a thread pool, a timer, files in /tmp, hsperfdata",
        ("java", "Work.java"),
        {"javac": "default-jdk-headless"},
        {"Work.java": _JAVA},
    ),
    Program(
        "guile",
        "two threads",
        ("guile", "--no-auto-compile", "-s", "work.scm"),
        {"guile": "guile-3.0"},
        {"work.scm": _GUILE},
    ),
    Program(
        "ocaml",
        "bytecode, maps, a file in /tmp",
        ("ocaml", "work.ml"),
        {"ocaml": "ocaml-nox"},
        {"work.ml": _OCAML},
    ),
    Program(
        "sbcl",
        "a native compiler in memory",
        ("sbcl", "--script", "work.lisp"),
        {"sbcl": "sbcl"},
        {"work.lisp": _SBCL},
    ),
    Program(
        "gforth",
        "a table and a loop",
        ("gforth-fast", "work.fs"),
        {"gforth-fast": "gforth"},
        {"work.fs": _FORTH},
    ),
    Program("tcl", "arrays, a file in /tmp", ("tclsh", "work.tcl"), {"tclsh": "tcl"}, {"work.tcl": _TCL}),
    Program(
        "erlang",
        "eight processes in a virtual machine with schedulers",
        ("escript", "work.erl"),
        {"escript": "erlang-base"},
        {"work.erl": "#!/usr/bin/env escript\n" + _ERLANG},
    ),
)
