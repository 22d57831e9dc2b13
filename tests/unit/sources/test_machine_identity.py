"""Which kind of machine it is, by the /proc/cpuinfo of each architecture; MHz and load do not change it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomd.sources.linux.speed import machine_identity

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz
stepping\t: 7
microcode\t: 0x5003604
cpu MHz\t\t: 2499.998
bogomips\t: 4999.99

processor\t: 1
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz
stepping\t: 7
cpu MHz\t\t: 3100.000
"""
ARM64 = """\
processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1
"""
ARM32 = """\
processor\t: 0
model name\t: ARMv7 Processor rev 3 (v7l)
BogoMIPS\t: 108.00
CPU implementer\t: 0x41
CPU architecture: 7
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

Hardware\t: BCM2711
Revision\t: c03112
Serial\t\t: 10000000b1c2d3e4
Model\t\t: Raspberry Pi 4 Model B Rev 1.2
"""
RISCV = """\
processor\t: 0
hart\t\t: 1
isa\t\t: rv64imafdc_zicntr_zicsr_zifencei_zihpm_zba_zbb
mmu\t\t: sv39
uarch\t\t: sifive,u74-mc
mvendorid\t: 0x489
marchid\t\t: 0x8000000000000007
mimpid\t\t: 0x4210427
hart isa\t: rv64imafdc_zicntr

processor\t: 1
hart\t\t: 2
isa\t\t: rv64imafdc_zicntr
uarch\t\t: sifive,u74-mc
"""
S390 = """\
vendor_id       : IBM/S390
# processors    : 2
bogomips per cpu: 3241.00
max thread id   : 0
features\t: esan3 zarch stfle msa ldisp eimm dfp edat etf3eh highgprs te vx vxd vxe gs
facilities      : 0 1 2 3 4 6 7
cache0          : level=1 type=Data scope=Private size=128K line_size=256 associativity=8
processor 0: version = 00,  identification = 0133E8,  machine = 3906
processor 1: version = 00,  identification = 0133E8,  machine = 3906

cpu number      : 0
physical id     : 0
core id         : 0
version         : 00
identification  : 0133E8
machine         : 3906
cpu MHz dynamic : 5208
cpu MHz static  : 5208

cpu number      : 1
version         : 00
machine         : 3906
cpu MHz dynamic : 5208
"""
#: As kernels before 4.11 wrote it.
OLD_S390 = S390.partition("\ncpu number")[0]
POWER = """\
processor\t: 0
cpu\t\t: POWER9 (architected), altivec supported
clock\t\t: 2900.000000MHz
revision\t: 2.2 (pvr 004e 1202)

processor\t: 1
cpu\t\t: POWER9 (architected), altivec supported
clock\t\t: 2900.000000MHz
revision\t: 2.2 (pvr 004e 1202)

timebase\t: 512000000
platform\t: pSeries
model\t\t: IBM,9009-22A
machine\t\t: CHRP IBM,9009-22A
MMU\t\t: Radix
"""
LOONGARCH = """\
system type\t\t: generic-loongson-machine

processor\t\t: 0
package\t\t\t: 0
core\t\t\t: 0
CPU Family\t\t: Loongson-64bit
Model Name\t\t: Loongson-3A5000
CPU Revision\t\t: 0x11
FPU Revision\t\t: 0x00
CPU MHz\t\t\t: 2500.00
BogoMIPS\t\t: 5000.00
"""
MIPS = """\
system type\t\t: MediaTek MT7621 ver:1 eco:3
machine\t\t\t: Ubiquiti EdgeRouter X
processor\t\t: 0
cpu model\t\t: MIPS 1004Kc V2.15
BogoMIPS\t\t: 584.90
"""
MACHINES = {
    "x86": (X86, "GenuineIntel / 6 / 85 / Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz / 7"),
    "arm64": (ARM64, "0x41 / 8 / 0x3 / 0xd0c / 1"),
    "arm": (ARM32, "ARMv7 Processor rev 3 (v7l) / 0x41 / 7 / 0x0 / 0xd08 / 3 / BCM2711 / c03112 / Raspberry"),
    "risc-v": (RISCV, "sifive,u74-mc / 0x489 / 0x8000000000000007 / 0x4210427"),
    "s390": (S390, "3906"),
    "old s390": (OLD_S390, "IBM/S390 / 00 / 3906"),
    "power": (POWER, "POWER9 (architected), altivec supported / 2.2 (pvr 004e 1202) / pSeries / IBM,9009"),
    "loongarch": (LOONGARCH, "Loongson-64bit / Loongson-3A5000 / 0x11 / generic-loongson-machine"),
    "mips": (MIPS, "MediaTek MT7621 ver:1 eco:3 / Ubiquiti EdgeRouter X / MIPS 1004Kc V2.15"),
}  # fmt: skip
#: What says which machine it is: something else there is another machine.
TELLING = {
    "x86": ("85", "stepping\t: 7"), "arm64": ("0xd0c", "0x41"), "arm": ("0xd08", "BCM2711"),
    "risc-v": ("sifive,u74-mc", "0x489", "0x8000000000000007", "0x4210427"), "s390": ("3906",),
    "old s390": ("machine = 3906", "version = 00"), "power": ("POWER9", "004e"),
    "loongarch": ("3A5000", "0x11"), "mips": ("1004Kc",),
}  # fmt: skip


_VARYING = re.compile(
    r"(mhz[^:]*|bogomips[^:]*|clock\t*|serial\t*|hart\t+|identification *)([:=]) *[^,\n]*", re.IGNORECASE
)


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_is_known_by_its_processor(name: str) -> None:
    """What its /proc/cpuinfo says of the processor stands in it, one line for a person."""
    text, said = MACHINES[name]
    found = machine_identity(text)
    assert said in found
    assert found.isprintable()


@pytest.mark.parametrize("name", MACHINES)
def test_another_processor_is_another_machine(name: str) -> None:
    """A STATE that moved to other hardware has its speed measured anew."""
    text = MACHINES[name][0]
    for word in TELLING[name]:
        assert word in text
        assert machine_identity(text.replace(word, word[:-1] + "z")) != machine_identity(text), word


@pytest.mark.parametrize("name", MACHINES)
def test_what_varies_is_not_in_it(name: str) -> None:
    """The clock of the moment, how many processors are online, a serial number."""
    text = MACHINES[name][0]
    varied = _VARYING.sub(r"\1\2 1", text)
    assert varied != text
    assert machine_identity(varied) == machine_identity(text)


def test_no_two_of_them_are_one() -> None:
    """Each is a machine of its own."""
    assert len({machine_identity(text) for text, _ in MACHINES.values()}) == len(MACHINES)


@given(st.text())
def test_any_text_is_some_machine(text: str) -> None:
    """Whatever a kernel writes, it is one line of bounded length."""
    assert len(machine_identity(text)) <= 500
    assert machine_identity(text).isprintable()
