"""The latency model on times that are made up from the layers: what it must find, and what it must refuse."""

import random
from pathlib import Path

import pytest

from mnascli.errors import UsageError
from mnascli.search.latency_model import LatencyModelError, fit, load_latency_model, space_id, terms
from mnascli.space import Architecture, Space, count, load_space

DEVICE = {"name": "phone", "fingerprint": "pixel 1", "setup": {"cores": [3], "threads": 1}, "precision": "float32"}
SPACE = load_space("quick")


def sampled(number: int, space: Space = SPACE, seed: int = 0) -> list[Architecture]:
    rng = random.Random(seed)
    return [space.sample(rng) for _ in range(number)]


def made_up_ms(architecture: Architecture) -> float:
    """Linear in the layers, as the model is: 1 ms, some for each op, more for depthwise and squeeze-excite."""
    amounts = terms(architecture)
    dear = sum(value for name, value in amounts.items() if "depthwise" in name and "adds" in name)
    cheap = sum(value for name, value in amounts.items() if "conv" in name and "adds" in name)
    return 1 + 0.02 * amounts["squeeze-excite ops"] + dear / 4e5 + cheap / 4e6


def test_it_finds_what_is_linear_in_the_layers() -> None:
    fitted = sampled(60)
    model = fit(SPACE, DEVICE, fitted, [made_up_ms(one) for one in fitted])
    assert model.errors.median < 0.01
    assert model.errors.tau > 0.97
    model.check(SPACE, DEVICE, "model")
    for architecture in sampled(20, seed=1):
        assert model.predict(architecture) == pytest.approx(made_up_ms(architecture), rel=0.03)


def test_bad_measurements_do_not_bend_it() -> None:
    fitted, rng = sampled(60), random.Random(0)
    measured = [made_up_ms(one) * (1.5 if n % 10 == 0 else rng.gauss(1, 0.01)) for n, one in enumerate(fitted)]
    model = fit(SPACE, DEVICE, fitted, measured)
    errors = [abs(model.predict(one) / made_up_ms(one) - 1) for one in sampled(40, seed=1)]
    assert sorted(errors)[20] < 0.02
    assert model.errors.worst > 0.2  # and it says that some were far off


def test_noise_is_refused() -> None:
    rng = random.Random(0)
    fitted = sampled(40)
    model = fit(SPACE, DEVICE, fitted, [rng.uniform(1, 3) for _ in fitted])
    with pytest.raises(LatencyModelError, match=r"too inaccurate: median error \d+.*keep other work off phone"):
        model.check(SPACE, DEVICE, "model")


def test_the_errors_are_of_candidates_that_were_not_fitted() -> None:
    # With as many terms as candidates everything can be fitted, and nothing predicted.
    rng = random.Random(3)
    fitted = sampled(30)
    noise = [rng.uniform(1, 3) for _ in fitted]
    model = fit(SPACE, DEVICE, fitted, noise)
    own = [abs(model.predict(one) / ms - 1) for one, ms in zip(fitted, noise, strict=True)]
    assert model.errors.median > sorted(own)[15]


def test_too_few_candidates() -> None:
    few = sampled(30)
    with pytest.raises(LatencyModelError, match="only 19 of 30 candidates have a stable latency"):
        fit(SPACE, DEVICE, few, [1.0] * 30, [n < 19 for n in range(30)])


def test_a_file_goes_and_comes_back(tmp_path: Path) -> None:
    fitted = sampled(40)
    model = fit(SPACE, DEVICE, fitted, [made_up_ms(one) for one in fitted], reference_ms=0.4)
    file = tmp_path / "model.json"
    file.write_text(model.model_dump_json())
    again = load_latency_model(file)
    assert again == model
    again.check(SPACE, DEVICE, "model")
    file.write_text("{}")
    with pytest.raises(UsageError, match=r"not a latency model: .* required"):
        load_latency_model(file)
    with pytest.raises(UsageError, match="no latency model can be read"):
        load_latency_model(tmp_path / "missing.json")


def test_another_space_or_device_is_one_clear_line() -> None:
    fitted = sampled(40)
    model = fit(SPACE, DEVICE, fitted, [made_up_ms(one) for one in fitted])
    with pytest.raises(UsageError, match=r"of another space.*mnas devices fit phone"):
        model.check(load_space("mnasnet"), DEVICE, "model.json")
    with pytest.raises(UsageError, match=r"of another device \(its fingerprint is pixel 1, here it is pixel 2\)"):
        model.check(SPACE, {**DEVICE, "fingerprint": "pixel 2"}, "model.json")


def test_other_pictures_are_no_other_space_but_another_size_is() -> None:
    assert space_id(SPACE) == space_id(SPACE.on(channels=3, classes=5))
    assert space_id(SPACE) != space_id(SPACE.on(size=32))


def test_every_op_of_a_block_counts() -> None:
    small, large = (
        Architecture.parse(f"stem_c8,{block},head_c16,net_i16_o3")
        for block in ("ds_r1_k3_s1_c8_noskip", "ds_r1_k3_s1_c8_se0.25_pool")
    )
    assert {name for name in terms(large) if terms(large)[name] != terms(small)[name]} == {
        "squeeze-excite ops",
        "squeeze-excite numbers",
        "pool ops",
        "pool numbers",
    }
    assert count(large).multiply_adds > count(small).multiply_adds


def test_a_tiny_network_is_never_predicted_to_take_no_time() -> None:
    fitted = sampled(40)
    rising = [0.01 + (made_up_ms(one) - 1) for one in fitted]
    model = fit(SPACE, DEVICE, fitted, rising)
    nothing = Architecture.parse("stem_c8,cn_r1_k1_s1_c1,head_c1,net_i8_ch1_o2")
    assert model.predict(nothing) >= min(rising) / 2
