"""Addresses and ports lent to pods."""

from __future__ import annotations

import os
import socket

import pytest

from cluster.node import addresses
from cluster.node.addresses import Addresses, OutOfAddresses, Ports


def test_each_pod_has_its_own_address_and_keeps_it() -> None:
    lent = Addresses("127.9.0.0/24")
    assert [lent.take(uid) for uid in ("a", "b", "a")] == ["127.9.0.2", "127.9.0.3", "127.9.0.2"]


def test_a_wanted_address_is_given_when_it_is_free_and_ours() -> None:
    lent = Addresses("127.9.0.0/24")
    assert lent.take("a", "127.9.0.77") == "127.9.0.77"
    assert lent.take("b", "127.9.0.77") == "127.9.0.2"
    assert lent.take("c", "127.8.0.1") == "127.9.0.3"
    assert lent.take("d", "nonsense") == "127.9.0.4"


def test_an_address_is_reused_as_late_as_possible() -> None:
    lent = Addresses("127.9.0.0/29")
    assert lent.take("a") == "127.9.0.2"
    lent.release("a")
    assert [lent.take(uid) for uid in "bcde"] == ["127.9.0.3", "127.9.0.4", "127.9.0.5", "127.9.0.6"]
    assert lent.take("f") == "127.9.0.2"
    with pytest.raises(OutOfAddresses, match=r"127\.9\.0\.0/29"):
        lent.take("g")
    lent.release("d")
    assert lent.take("g") == "127.9.0.5"
    lent.release("never")


def test_ports_are_unique_and_free() -> None:
    lent = Ports(os.getpid())
    first = lent.take("a")
    assert addresses.FIRST_PORT <= first < addresses.LAST_PORT
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", first + 1))
            taken.listen()
        except OSError:
            pytest.skip("the next port is in use by somebody else")
        assert lent.take("a") != first + 1
    lent.release("a")
    assert not lent._taken
