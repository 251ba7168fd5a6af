from hypothesis import given
from hypothesis import strategies as st

from mnascli.data.split import digest, divide

Sample = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), min_size=1, max_size=60)


@given(Sample, st.integers(0, 10), st.integers(0, 10))
def test_every_image_is_in_one_part_and_copies_stay_together(sample, first, second):
    digests = [digest(bytes([content])) for content, _ in sample]
    labels = [label for _, label in sample]
    parts = divide(digests, labels, {label: [first, second] for label in range(4)})
    assert sorted(index for part in parts for index in part) == list(range(len(sample)))
    home = {}
    for number, part in enumerate(parts):
        for index in part:
            assert home.setdefault((digests[index], labels[index]), number) == number


@given(st.lists(st.integers(0, 255), unique=True, min_size=10, max_size=40), st.randoms())
def test_the_split_does_not_depend_on_the_order(contents, random):
    shuffled = random.sample(contents, len(contents))
    parts = []
    for order in (contents, shuffled):
        digests = [digest(bytes([content])) for content in order]
        parts.append([{order[index] for index in part} for part in divide(digests, [0] * len(order), {0: [3, 4]})])
    assert parts[0] == parts[1]
    assert [len(part) for part in parts[0]] == [3, 4, len(contents) - 7]
