import numpy as np
import pytest
import torch
from training_helpers import tiny_data, tiny_network

from mnascli.errors import MnasError
from mnascli.training import Scores, evaluate, predict_logits, scores


def test_top1_and_top5_by_hand():
    logits = np.zeros((4, 8), np.float32)
    logits[:, :6] = [6, 5, 4, 3, 2, 1]
    assert scores(logits, np.array([0, 4, 5, 7])) == Scores(top1=0.25, top5=0.5, images=4)


def test_equal_logits_count_as_argmax_does():
    logits = np.zeros((10, 10), np.float32)
    assert scores(logits, np.arange(10)) == Scores(top1=0.1, top5=0.5, images=10)


def test_top1_is_argmax():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 10)), rng.integers(0, 10, 200)
    assert scores(logits, labels).top1 == (logits.argmax(1) == labels).mean()
    best5 = np.argsort(-logits, 1)[:, :5]
    assert scores(logits, labels).top5 == (best5 == labels[:, None]).any(1).mean()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_network_has_no_score(bad):
    logits = np.zeros((3, 3))
    logits[1, 1] = bad
    with pytest.raises(MnasError, match="diverged"):
        scores(logits, np.zeros(3, np.int64))


def test_logits_are_those_of_the_network_in_evaluation_mode():
    data, network = tiny_data(), tiny_network()
    logits = predict_logits(network, data.test.images, data)
    assert network.training
    network.eval()
    with torch.no_grad():
        expected = network(torch.from_numpy(data.normalise(data.test.images)).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert evaluate(network, data.test, data) == scores(logits, data.test.labels)
