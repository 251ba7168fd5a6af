"""Two architectures are one network if their layers are the same, whatever their strings say."""

import random
import re
import string
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnascli.space import ZOO, Architecture, load, load_space, lower, network_id

PAPER = load_space("mnasnet")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ds_r1_k3_s1_c16", "ir_r1_k3_s1_e1_c16"),
        ("cn_r1_k3_s2_c16_noskip", "cn_r1_k3_s2_c16_skip"),  # a strided layer has no identity to add
        ("ds_r1_k3_s1_c16_noskip", "ds_r1_k3_s1_c16_pool"),  # nor has one that changes its channels
        ("ds_r1_k3_s1_c16_se0.25", "ds_r1_k3_s1_c16_se0.26"),  # 8 of 32 channels
        ("cn_r1_k3_s1_c8,ds_r0_k5_s1_c99,ds_r1_k3_s1_c8", "cn_r1_k3_s1_c8,ds_r0_k3_s1_c8,ds_r1_k3_s1_c8"),
        ("ds_r2_k3_s1_c32,ds_r1_k3_s1_c32", "ds_r1_k3_s1_c32,ds_r2_k3_s1_c32"),
        ("ds_r1_k3_s1_c16,net_w0.5,stem_c64,head_c0", "ds_r1_k3_s1_c8,head_c0"),
    ],
)
def test_other_strings_same_layers(one: str, other: str) -> None:
    assert one != other
    assert network_id(Architecture.parse(one)) == network_id(Architecture.parse(other))


def test_every_published_network_has_an_id_of_its_own() -> None:
    networks = [load(name, width, size) for name in ZOO for width in (0.5, 1.0, 1.4) for size in (96, 224)]
    ids = [network_id(network) for network in networks]
    assert len(set(ids)) == len(networks)
    assert all(len(one) == 16 and set(one) <= set(string.hexdigits.lower()) for one in ids)
    a1 = load("mnasnet-a1")
    changed = [a1, a1.on(classes=10), replace(a1, dropout=0.1), replace(a1, bn_epsilon=1e-5), replace(a1, channels=1)]
    assert len({network_id(network) for network in changed}) == len(changed)


def test_an_id_stays_what_it_is_between_versions() -> None:
    assert network_id(load("mnasnet-a1")) == "f141410bdd745733"
    assert network_id(Architecture.from_json({**load("mnasnet-small").to_json(), "dropout": 0})) == network_id(
        load("mnasnet-small")
    )


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 6))
def test_ids_are_the_same_just_where_the_layers_are(seed: int, changes: int) -> None:
    rng = random.Random(seed)
    one = PAPER.sample(rng)
    indices = list(PAPER.encode(one))
    for position in rng.sample(range(len(indices)), changes):
        indices[position] = rng.randrange(len(PAPER.decisions[position].choices))
    other = PAPER.decode(indices)
    assert (network_id(one) == network_id(other)) == (nameless(one) == nameless(other))


def nameless(architecture: Architecture) -> str:
    return re.sub(r"name='[^']*'", "", repr(lower(architecture)))
