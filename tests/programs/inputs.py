"""What programs are given to work on: always the same, made of a number."""

from __future__ import annotations

import random
from collections.abc import Callable


def words(seed: int, count: int) -> Callable[[], bytes]:
    """Make lines of ``count`` words in all, which compress about as a text does."""

    def make() -> bytes:
        chosen = random.Random(seed)
        known = [chosen.randbytes(chosen.randrange(1, 7)).hex() for _ in range(4000)]
        all_words = chosen.choices(known, k=count)
        lines = (" ".join(all_words[place : place + 12]) for place in range(0, count, 12))
        return ("\n".join(lines) + "\n").encode()

    return make


def numbers(seed: int, count: int) -> Callable[[], bytes]:
    """Make ``count`` lines with a number each."""

    def make() -> bytes:
        chosen = random.Random(seed)
        return "".join(f"{chosen.getrandbits(40)}\n" for _ in range(count)).encode()

    return make


def picture(seed: int, width: int, height: int) -> Callable[[], bytes]:
    """Make a picture with shapes and noise, in the format PPM."""

    def make() -> bytes:
        chosen = random.Random(seed)
        noise = chosen.randbytes(width * height)
        pixels = bytearray()
        for place, grain in enumerate(noise):
            y, x = divmod(place, width)
            pixels += bytes(((x * y + grain) % 256, (x ^ y) % 256, (x * x // (y + 1) + grain // 4) % 256))
        return b"P6 %d %d 255\n" % (width, height) + bytes(pixels)

    return make


def c_source(seed: int, functions: int, name: str) -> Callable[[], bytes]:
    """Make C with one function ``name`` that calls all the others, which takes a compiler a while."""

    def make() -> bytes:
        number = random.Random(seed)
        pieces = ["typedef unsigned long u64;\n"]
        for each in range(functions):
            pieces.append(
                f"static u64 {name}{each}(u64 x, u64 y)\n{{\n  u64 z = {number.getrandbits(32)}u;\n"
                f"  for (unsigned i = 0; i < {number.randrange(5, 50)}; i++) {{\n"
                f"    z ^= (x << {number.randrange(1, 31)}) + y * {number.getrandbits(30)}u;\n"
                f"    if (z & {1 << number.randrange(20)}) x += z >> {number.randrange(1, 31)};\n"
                "    else y ^= z;\n"
                "    switch (z % 5) { case 0: x++; break; case 1: y--; break; default: z -= y; }\n"
                "  }\n  return x ^ y ^ z;\n}\n"
            )
        calls = "".join(f"  x = {name}{each}(x, x >> 3);\n" for each in range(functions))
        pieces.append(f"u64 {name}(u64 x)\n{{\n{calls}  return x;\n}}\n")
        return "".join(pieces).encode()

    return make
