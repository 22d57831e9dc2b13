"""Users that are not the same on all nodes: what `gom doctor` concludes from the accounts of the nodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gom.doctor_accounts import SameAccounts, ToldAccount, compare, parse_accounts
from libgomd.model import Finding, FindingState

GOOD, WARN, BAD = FindingState


def account(uid: int, gid: int = 100, **groups: int) -> ToldAccount:
    return ToldAccount(uid, gid, {number: name for name, number in groups.items()} or None)


def same(nodes: str, **accounts: ToldAccount) -> SameAccounts:
    return SameAccounts(nodes.split(), accounts)


def found(*sets: SameAccounts, **used: bool) -> list[Finding]:
    findings = list(compare(sets, used))
    assert all(each.mend and each.check == "users" and each.state is not GOOD for each in findings)
    return findings


def test_equal_accounts() -> None:
    """And users that are on some nodes only, and need not be on others."""
    assert found(same("a", ana=account(1000)), same("b", ana=account(1000), bob=account(1001))) == []
    assert found() == []


def test_another_uid() -> None:
    """The uid of most nodes is the one that the others should have; worse for one who has jobs."""
    sets = same("n1 n2", ana=account(1000)), same("n3", ana=account(1005))
    [unused] = found(*sets)
    assert unused.text == "the uid of ana is 1000 on n[1-2]; 1005 on n3"
    assert unused.mend.startswith("on n3, while nothing of theirs runs: usermod -u 1000 ana; ")
    assert unused.state is WARN
    [used] = found(*sets, ana=False)
    assert used.state is BAD


def test_another_main_group() -> None:
    """It is told apart from the uid."""
    [gid] = found(same("a b", ana=account(1000, 100)), same("c", ana=account(1000, 1000)))
    assert gid.text == "the main group of ana is 100 on a,b; 1000 on c"
    assert gid.mend == "on c: usermod -g 100 ana"


def test_no_account_where_it_is_needed() -> None:
    """Of a user with jobs or processes elsewhere."""
    [lacking] = found(same("a", ana=account(1000)), same("b c"), ana=False)
    assert lacking.text == "ana has jobs or processes, and no account on b,c"
    assert "useradd -u 1000 ana" in lacking.mend


def test_groups_matter_for_jobs() -> None:
    """Of one with jobs; those in common are left out, and one with another number is another one."""
    one = account(1000, 100, users=100, docker=998)
    two = account(1000, 100, users=100, docker=999, sudo=27)
    three = account(1000, 100, users=100)
    sets = same("a", ana=one), same("b", ana=two), same("c", ana=three)
    assert found(*sets, ana=False) == found(*sets) == []
    [groups] = found(*sets, ana=True)
    assert groups.state is WARN
    assert groups.text == (
        "the groups of ana, who has jobs, differ: "
        "27 (sudo),999 (docker) on b; 998 (docker) on a; none of these on c"
    )


def test_a_uid_of_two_users() -> None:
    """Also where neither is on the other node; two names of one number everywhere are nobody's mistake."""
    [shared] = found(same("a", ana=account(1000)), same("b", bob=account(1000)))
    assert shared.text == "uid 1000 is ana on a; bob on b"
    assert shared.state is WARN
    [used] = found(same("a", ana=account(1000)), same("b", bob=account(1000)), bob=False)[-1:]
    assert used.state is BAD
    both = {"ana": account(1000), "bob": account(1000)}
    assert found(same("a", **both), same("b", **both)) == []
    swapped = same("a", ana=account(1), bob=account(2)), same("b", ana=account(2), bob=account(1))
    assert [each.text.split()[1] for each in found(*swapped)] == ["uid", "uid"]


def test_many_that_differ_alike_are_one() -> None:
    """A node with other numbers for everybody is a line, not a thousand."""
    one = {f"u{n:04}": account(1000 + n) for n in range(1000)}
    two = {f"u{n:04}": account(5000 + n) for n in range(1000)}
    [finding] = found(same("a b", **one), same("c", **two))
    assert finding.text == (
        "the uid of u0000 is 1000 on a,b; 5000 on c; 999 others differ between the same nodes: u[0001-0999]"
    )
    assert len(found(same("a b", **one), same("c", **two), u0000=True)) == 2


def test_names_that_a_shell_would_read() -> None:
    """Nobody should run what somebody has made their name."""
    [finding] = found(same("a b", **{"$(reboot)'": account(1)}), same("c", **{"$(reboot)'": account(2)}))
    assert """usermod -u 1 '$(reboot)'"'"''""" in finding.mend


@pytest.mark.parametrize("text", ["", "ana", "ana 1", "ana x y", "ana 1 2 x:y", "'", "ana 1000 100 27"])
def test_rows_that_cannot_be_read(text: str) -> None:
    """Of a newer daemon: they are left out, or read as far as they can be."""
    rows = [{"check": "account", "text": text}, {"check": "account", "text": "bob 1 2 27:sudo 2:"}, {}]
    read = parse_accounts(rows)
    assert read["bob"] == ToldAccount(1, 2, {27: "sudo", 2: ""})
    assert set(read) <= {"bob", "ana"}


ACCOUNTS = st.dictionaries(
    st.sampled_from(["ana", "bob", "cat"]),
    st.builds(
        ToldAccount, st.integers(1, 3), st.integers(1, 2),
        st.none() | st.dictionaries(st.integers(1, 3), st.sampled_from(["", "g"]), min_size=1),
    ),
)  # fmt: skip


@given(st.lists(ACCOUNTS, max_size=4), st.dictionaries(st.sampled_from(["ana", "bob", "dee"]), st.booleans()))
def test_any_accounts(sets: list[dict[str, ToldAccount]], used: dict[str, bool]) -> None:
    """Equal ones give nothing; what differs in a uid is always told."""
    findings = found(*(SameAccounts([f"n{place}"], each) for place, each in enumerate(sets)), **used)
    texts = " ".join(each.text for each in findings)
    for name in ("ana", "bob", "cat"):
        uids = {each[name].uid for each in sets if name in each}
        assert (f"the uid of {name} is" in texts) == (len(uids) > 1)
    if len(sets) < 2 or all(each == sets[0] for each in sets):
        assert findings == []
