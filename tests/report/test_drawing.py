"""The boxes of the paper's figure 7, against the numbers it prints."""

from mnascli.report.drawing import boxes
from mnascli.space import count, load


def test_mnasnet_a1_is_drawn_as_in_the_paper() -> None:
    drawn = boxes(load("mnasnet-a1"))
    titles = [box.title for box in drawn]
    assert titles[:4] == ["Conv 3x3", "SepConv 3x3", "MBConv6 3x3", "MBConv3 5x5"]
    assert [box.repeats for box in drawn[1:8]] == [1, 2, 3, 4, 2, 3, 1]
    assert [(box.size, box.channels) for box in drawn[:4]] == [(112, 32), (112, 16), (56, 24), (28, 40)]
    assert "SE 0.25" in drawn[3].notes and "stride 2" in drawn[3].notes
    assert drawn[1].skip == "" and drawn[2].skip == "identity"


def test_the_boxes_have_all_of_the_cost() -> None:
    network = load("mobilenet-v2").on(width=0.35, size=96)
    drawn, cost = boxes(network), count(network)
    assert sum(box.parameters for box in drawn) == cost.parameters
    assert sum(box.multiply_adds for box in drawn) == cost.multiply_adds
