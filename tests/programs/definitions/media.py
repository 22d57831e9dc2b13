"""Pictures, films and plots."""

from __future__ import annotations

from typing import Final

from tests.programs.definition import Program
from tests.programs.inputs import picture

_PLOT = """
set terminal svg size 800,600
set samples 4000
set isosamples 30
do for [n = 1:8] {
  set output sprintf("plot%02d.svg", n)
  set table "table.dat"
  splot [-3:3] [-3:3] sin(x * n) * cos(y * y) + besj0(x * x + y * n)
  unset table
  splot "table.dat" with pm3d, [-3:3] [-3:3] sin(x * n) * cos(y * y) with lines
}
"""

_SCENE = """
#version 3.7;
global_settings { assumed_gamma 1.0 }
camera { location <0, 3, -9> look_at <0, 1, 0> }
light_source { <10, 20, -10> color rgb 1 }
light_source { <-12, 9, -4> color rgb 0.5 }
plane { y, 0 pigment { checker rgb 0.9, rgb 0.3 } finish { reflection 0.3 } }
#declare N = 0;
#while (N < 40)
  sphere { <3 * sin(N), 0.4 + N / 15, 3 * cos(N)>, 0.4
    pigment { rgb <N / 40, 0.5, 1 - N / 40> } finish { phong 0.9 reflection 0.4 } }
  #declare N = N + 1;
#end
"""

PROGRAMS: Final = (
    Program(
        "ffmpeg",
        "encodes a film with threads",
        (
            "ffmpeg",
            "-nostdin",
            "-v",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=640x360:rate=25:duration=150",
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440:duration=150",
            "-c:v",
            "mpeg4",
            "-q:v",
            "3",
            "-c:a",
            "aac",
            "-threads",
            "2",
            "-fflags",
            "+bitexact",
            "-flags:v",
            "+bitexact",
            "-flags:a",
            "+bitexact",
            "film.mkv",
        ),
        {"ffmpeg": "ffmpeg"},
    ),
    Program(
        "imagemagick",
        "filters over a picture, with threads",
        (
            "convert",
            "picture.ppm",
            "-blur",
            "0x16",
            "-rotate",
            "17",
            "-paint",
            "4",
            "-modulate",
            "110,80",
            "-define",
            "png:exclude-chunks=date,time",
            "+set",
            "date:create",
            "+set",
            "date:modify",
            "out.png",
        ),
        {"convert": "imagemagick"},
        {"picture.ppm": picture(60, 1200, 800)},
    ),
    Program(
        "netpbm",
        "five filters in a pipeline",
        (
            "sh",
            "-c",
            "for n in 1 2 3; do pnmscale 1 <picture.ppm | pnmsmooth | pnmrotate 30 | pnmquant -nofs 64 2>/dev/null "
            "| pnmtopng -compression 9 2>/dev/null | sha256sum; done",
        ),
        {"pnmtopng": "netpbm"},
        {"picture.ppm": picture(61, 500, 400)},
    ),
    Program(
        "gnuplot",
        "eight surfaces",
        ("gnuplot", "-d", "work.plot"),
        {"gnuplot": "gnuplot-nox"},
        {"work.plot": _PLOT},
    ),
    Program(
        "povray",
        "a scene with mirrors, by two threads; the file says at its end when it was made",
        (
            "sh",
            "-c",
            "povray +Iscene.pov +Oscene.tga +FT +W1000 +H750 +A0.1 +WT2 -D -P -GA 2>/dev/null && "
            "head -c 2250018 scene.tga | sha256sum",
        ),
        {"povray": "povray"},
        {"scene.pov": _SCENE},
        ignore=(".povray/*", "*.pov-state", "scene.tga"),
    ),
)
