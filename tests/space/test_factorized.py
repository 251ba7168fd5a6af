"""The search space: the paper's is whole, every decision is reversible, and a bad file is refused in one line."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnascli.engine.config import resolve
from mnascli.errors import UsageError
from mnascli.space import Architecture, load, load_space, lower, make_space, network_id
from mnascli.space.configuration import at_size

PAPER = load_space("mnasnet")


def test_the_papers_space_is_whole() -> None:
    assert PAPER.size == 432**7
    assert [len(decision.choices) for decision in PAPER.decisions] == [4, 2, 2, 3, 3, 3] * 7


@settings(max_examples=50)
@given(st.lists(st.integers(0, 10**6), min_size=42, max_size=42))
def test_encode_undoes_decode(numbers: list[int]) -> None:
    indices = tuple(n % len(one.choices) for n, one in zip(numbers, PAPER.decisions, strict=True))
    assert PAPER.encode(PAPER.decode(indices)) == indices


def test_sampling_is_determined_by_its_generator() -> None:
    assert PAPER.sample(random.Random(3)) == PAPER.sample(random.Random(3))
    assert PAPER.sample(random.Random(3)) != PAPER.sample(random.Random(4))


def test_mutation_changes_one_decision() -> None:
    rng = random.Random(0)
    architecture = PAPER.sample(rng)
    for _ in range(100):
        mutated = PAPER.mutate(architecture, rng)
        pairs = zip(PAPER.encode(architecture), PAPER.encode(mutated), strict=True)
        assert sum(a != b for a, b in pairs) == 1
        architecture = mutated


@pytest.mark.parametrize("template", ["mnasnet", "quick"])
def test_a_mutation_is_another_network(template: str) -> None:
    space, rng = load_space(template), random.Random(0)
    for _ in range(300):
        architecture = space.sample(rng)
        assert network_id(space.mutate(architecture, rng)) != network_id(architecture)


def test_every_other_network_one_decision_away_may_come() -> None:
    space = make_space({"blocks": [{"filters": 32, "layers": 1}], "choices": {"operator": ["sep", "mbconv1"]}}, "x")
    left_out = space.decode([0, 0, 0, 0, 1, 0])
    assert left_out.blocks[0].repeats == 0
    rng = random.Random(0)
    assert {space.encode(space.mutate(left_out, rng))[5] for _ in range(50)} == {1, 2}  # all else changes nothing


def test_a_space_of_one_network_cannot_mutate() -> None:
    one = {"kernel": [3], "se": [0], "skip": ["none"], "filters": [1.0], "layers": [0]}
    for operators in (["sep"], ["sep", "mbconv1"]):
        space = make_space({"blocks": [BLOCK], "choices": {**one, "operator": operators}}, "mine.yaml")
        with pytest.raises(UsageError, match=r"mine\.yaml: the space has a single network"):
            space.mutate(space.sample(random.Random(0)), random.Random(0))


@pytest.mark.parametrize("name", ["mnasnet-a1", "mnasnet-b1"])
def test_published_networks_are_found_in_spaces_around_them(name: str) -> None:
    """A1's 112 and B1's 192 filters are not in the space around MobileNetV2, but in one around the network itself."""
    network = load(name)
    with pytest.raises(UsageError, match="not in this space"):
        PAPER.encode(network)
    blocks = [{"filters": b.filters, "layers": b.repeats, "stride": b.stride} for b in network.blocks]
    around = make_space({"blocks": blocks}, name)
    assert around.decode(around.encode(network)) == network


def test_a_network_on_the_spaces_skeleton() -> None:
    space = make_space(
        {
            "input": {"size": 32, "channels": 1},
            "classes": 10,
            "stem": {"stride": 1, "filters": 16},
            "head": {"filters": 64},
            "blocks": [{"filters": 8, "layers": 2, "stride": stride} for stride in (1, 1, 2, 1, 1, 2, 1)],
        },
        "tiny",
    )
    adapted = space.adapt(load("mobilenet-v2", width=0.5))
    assert [block.stride for block in adapted.blocks] == [1, 1, 2, 1, 1, 2, 1]
    assert (adapted.size, adapted.channels, adapted.classes, adapted.head_filters) == (32, 1, 10, 64)
    assert (adapted.width, adapted.activation) == (0.5, "relu6")
    with pytest.raises(UsageError, match="7 blocks"):
        space.adapt(Architecture.parse("ds_r1_k3_s1_c8"))


BLOCK = {"filters": 16, "layers": 2}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "blocks: this key is required"),
        ({"blocks": []}, "blocks"),
        ({"bloks": [BLOCK]}, "did you mean 'blocks'"),
        ({"blocks": [{**BLOCK, "filers": 3}]}, r"blocks.0.filers: unknown key \(did you mean 'filters'"),
        ({"blocks": [{**BLOCK, "stride": 3}]}, "blocks.0.stride"),
        ({"blocks": [{**BLOCK, "layers": "two"}]}, "blocks.0.layers"),
        ({"blocks": [BLOCK], "choices": {"operator": ["conv3"]}}, "'conv3' is not an operator"),
        ({"blocks": [BLOCK], "choices": {"kernel": [3, 3]}}, "twice"),
        ({"blocks": [{**BLOCK, "choices": {"kernel": [4]}}]}, "blocks.0.choices.kernel.0: kernel 4 must be odd"),
        ({"blocks": [{"filters": 16, "layers": 1, "stride": 2}]}, "0 layers are too few"),
        ({"blocks": [BLOCK], "filters_multiple_of": 64}, r"come out as \[0\]: they must be from 1"),
        (
            {"blocks": [BLOCK], "choices": {"se": [0, 1.5]}},
            "choices.se.1: squeeze-excite ratio 1.5 must be from 0 to 1",
        ),
        ({"blocks": [{**BLOCK, "choices": {"se": [-1]}}]}, "blocks.0.choices.se.0: squeeze-excite ratio -1 must be"),
        ({"blocks": [BLOCK], "stem": {"kernel": 4}}, "stem.kernel: kernel 4 must be odd"),
        ({"blocks": [BLOCK], "choices": {"kernel": [33]}}, "kernel 33 must be odd, from 1 to 31"),
        ({"blocks": [BLOCK], "choices": {"filters": [1, 0]}}, "choices.filters.1: 0 times the filters"),
        ({"blocks": [BLOCK], "choices": {"filters": [0.01]}}, "they must be from 1"),
        ({"blocks": [{**BLOCK, "filters": 16384}]}, "they must be from 1 to 16,384"),
        ({"blocks": [BLOCK], "choices": {"layers": [-3]}}, "-1 layers are too few"),
        ({"blocks": [BLOCK], "choices": {"layers": [999]}}, "1001 layers are too many"),
        ({"blocks": [BLOCK], "choices": {"layers": [True]}}, "true or false is not allowed here"),
        ({"blocks": [BLOCK], "activation": "swish"}, "activation"),
    ],
)
def test_bad_spaces_name_the_key(values: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        make_space(values, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
    assert "\n" not in str(caught.value)


def test_a_bad_space_is_refused_when_the_configuration_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("template: mnasnet\nspace:\n  choices:\n    se:\n    - 0\n    - 1.5\n")
    with pytest.raises(UsageError, match=r"mine\.yaml: line 6: space\.choices\.se\.1: squeeze-excite ratio 1\.5"):
        resolve(None, file, {})


def test_options_that_come_out_alike_are_one() -> None:
    """0.75 x 16 and 1 x 16 give 16 in multiples of 8; an mbconv of expansion 1 is a sep."""
    values = PAPER.config.model_dump()
    space = make_space({**values, "filters_multiple_of": 8}, "paper's")
    assert space.notes == ("space.blocks.0: 0.75 and 1 times 16 filters give 16: one choice",)
    assert space.decisions[4].choices == (1.0, 1.25)
    assert space.size == 432**7 * 2 // 3 and PAPER.notes == ()
    assert space.hash not in (PAPER.hash, make_space(values, "").hash)
    operators = {**values["choices"], "operator": ["sep", "mbconv1", "mbconv6"]}
    space = make_space({**values, "choices": operators}, "two names")
    assert space.notes == (
        "space.blocks.0,1,2,3,4,5,6: the operators sep and mbconv1 have the same layers: one choice, sep",
    )
    assert {decision.choices for decision in space.decisions[::6]} == {("sep", "mbconv6")}
    sep = space.decode([0] * len(space.decisions))
    named = replace(sep, blocks=tuple(replace(block, operator="mbconv") for block in sep.blocks))
    assert space.encode(named) == space.encode(sep) and lower(named) == lower(sep)


SPACES = st.fixed_dictionaries(
    {
        "input": st.fixed_dictionaries({"size": st.sampled_from([8, 9, 31])}),
        "classes": st.integers(2, 5),
        "stem": st.fixed_dictionaries(
            {"kernel": st.integers(0, 6), "stride": st.integers(1, 2), "filters": st.integers(0, 9)}
        ),
        "head": st.fixed_dictionaries({"filters": st.integers(0, 9)}),
        "filters_multiple_of": st.sampled_from([1, 4]),
        "choices": st.fixed_dictionaries(
            {
                "operator": st.lists(st.sampled_from(["conv", "sep", "mbconv1", "mbconv2"]), min_size=1, unique=True),
                "kernel": st.lists(st.integers(1, 7), min_size=1, max_size=2, unique=True),
                "se": st.lists(st.sampled_from([0, 0.01, 1, 1.5]), min_size=1, max_size=2, unique=True),
                "filters": st.lists(st.sampled_from([0.05, 0.5, 0.9, 1]), min_size=1, unique=True),
                "layers": st.lists(st.integers(-1, 1), min_size=1, unique=True),
            }
        ),
        "blocks": st.lists(
            st.fixed_dictionaries(
                {"filters": st.integers(1, 9), "layers": st.integers(1, 2), "stride": st.integers(1, 2)}
            ),
            min_size=1,
            max_size=7,
        ),
    }
)


@settings(max_examples=100, deadline=None)
@given(SPACES, st.integers(0, 99))
def test_whatever_a_space_offers_can_be_built(values: dict[str, object], seed: int) -> None:
    """Refused when it is read, or never again: also seven strides on eight pixels."""
    try:
        space = make_space(values, "any")
    except UsageError:
        return
    for architecture in (space.decode([0] * len(space.decisions)), space.sample(random.Random(seed))):
        lower(architecture)
        assert space.decode(space.encode(architecture)) == architecture


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("classes: 5\nblocks:\n  - {filters: 16, layers: 2}\n")
    assert load_space(file).config.classes == 5
    file.write_text("blocks: [\n")
    with pytest.raises(UsageError, match="line 2: not valid YAML"):
        load_space(file)
    with pytest.raises(UsageError, match=r"available: .*mnasnet"):
        load_space("nothing")
    with pytest.raises(UsageError, match="cannot be read"):
        load_space(tmp_path / "none.yaml")


def test_hash_tells_spaces_apart() -> None:
    assert PAPER.hash == load_space("mnasnet").hash
    assert PAPER.hash != PAPER.on(classes=10).hash


def test_a_plain_skeleton_has_one_operator_and_the_base_of_all_else() -> None:
    space = load_space("quick")
    plain = space.baseline("plain-mbconv3", 1.5)
    assert plain.width == 1.5 and {(block.operator, block.expansion) for block in plain.blocks} == {("mbconv", 3)}
    assert [block.filters for block in plain.blocks] == [block.filters for block in space.config.blocks]
    assert [block.repeats for block in plain.blocks] == [block.layers for block in space.config.blocks]
    assert {(block.kernel, block.se_ratio, block.skip) for block in plain.blocks} == {(3, 0.0, "identity")}
    assert space.baseline("mobilenet-v2") == space.adapt(load("mobilenet-v2"))
    with pytest.raises(UsageError, match="plain-spe: 'spe' is not an operator"):
        space.baseline("plain-spe")
    with pytest.raises(UsageError, match="no model called 'mobilnet'"):
        space.baseline("mobilnet")


@pytest.mark.parametrize(("size", "strides"), [(96, [2, 2, 1, 1, 2, 1, 2, 1]), (32, [1, 2, 1, 1, 2, 1, 2, 1]),
    (64, [2, 2, 1, 1, 2, 1, 2, 1]), (24, [1, 1, 1, 1, 2, 1, 2, 1]), (224, [2, 2, 2, 1, 2, 1, 2, 1])])  # fmt: skip
def test_strides_follow_the_size_of_the_pictures(size: int, strides: list[int]) -> None:
    """So that the last feature map stays between 4 and 8 pixels."""
    config = at_size(load_space("photos").config, size)
    assert config.input.size == size
    assert [config.stem.stride, *(block.stride for block in config.blocks)] == strides
    last = size
    for stride in strides:
        last = -(-last // stride)
    assert 4 <= last <= 8
