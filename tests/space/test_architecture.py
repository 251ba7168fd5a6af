"""Architectures: strings and JSON read back to the same thing, and what cannot be is refused in one line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnascli.space import ZOO, Architecture, ArchitectureError, Block, load

finite = {"allow_nan": False, "allow_infinity": False}
odd = st.integers(0, 5).map(lambda n: 2 * n + 1)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    operator = draw(st.sampled_from(["conv", "sep", "mbconv"]))
    stride = draw(st.sampled_from([1, 2]))
    return Block(
        operator=operator,
        kernel=draw(odd),
        stride=stride,
        filters=draw(st.integers(1, 2000)),
        repeats=draw(st.integers(0 if stride == 1 else 1, 9)),
        expansion=draw(st.integers(1, 12)) if operator == "mbconv" else 1,
        se_ratio=draw(st.floats(0, 1, **finite)),
        skip=draw(st.sampled_from(["none", "identity", "pool"])),
    )


architectures = st.builds(
    Architecture,
    blocks=st.lists(blocks(), min_size=1, max_size=8).map(tuple),
    stem_kernel=odd,
    stem_stride=st.sampled_from([1, 2]),
    stem_filters=st.integers(1, 999),
    head_filters=st.integers(1, 9999),
    head_grows=st.booleans(),
    dropout=st.floats(0, 1, exclude_max=True, **finite),
    activation=st.sampled_from(["relu", "relu6"]),
    bn_epsilon=st.floats(0, 1, exclude_min=True, **finite),
    width=st.floats(0, 100, exclude_min=True, **finite),
    size=st.integers(1, 2048),
    channels=st.integers(1, 16),
    classes=st.integers(1, 99999),
)


@given(architectures)
def test_string_and_json_read_back(architecture: Architecture) -> None:
    assert Architecture.parse(str(architecture)) == architecture
    assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == architecture
    assert hash(Architecture.parse(str(architecture))) == hash(architecture)


@given(st.text(alphabet="cndsir_r0123456789ke.,- stemhead", max_size=40))
def test_any_text_parses_or_is_refused_in_one_line(text: str) -> None:
    try:
        Architecture.parse(text)
    except ArchitectureError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "begins with none of"),
        ("xx_r1_k3_s1_c8", "xx_r1_k3_s1_c8"),
        ("ds_r1_k4_s1_c8", "kernel 4"),
        ("ds_r1_k3_s3_c8", "stride 3"),
        ("ds_r1_k3_s1", "filters"),
        ("ds_r1_k3_s1_c8_e6", "no expansion"),
        ("ir_r1_k3_s1_cx", "'cx'"),
        ("ir_r1_k3_s1_c8_c9", "twice"),
        ("ir_r1_k3_s1_c8_pool_skip", "more than one skip"),
        ("ir_r0_k3_s2_c8", "0 layers"),
        ("ir_r1_k3_s1_c8,head_c8,head_c9", "twice"),
        ("net_w1.5", "at least one block"),
    ],
)
def test_bad_strings_name_what_is_wrong(text: str, names: str) -> None:
    with pytest.raises(ArchitectureError, match=names):
        Architecture.parse(text)


def test_blanks_separate_as_commas_do() -> None:
    assert Architecture.parse(ZOO["mnasnet-a1"].replace(",", "  ")) == load("mnasnet-a1")


def test_bad_json() -> None:
    with pytest.raises(ArchitectureError, match="JSON"):
        Architecture.from_json({"blocks": [{"operator": "conv"}]})
