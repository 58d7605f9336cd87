"""What a launch would cost."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from remote.contract.errors import ConfigError
from remote.contract.spec import ExperimentSpec, GpuType
from tui.planning.prices import prices
from tui.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose directory for the user's own files is empty."""
    made = Settings(project_dir=tmp_path, home=tmp_path / "home", config_dir=tmp_path / "config")
    made.config_dir.mkdir()
    return made


@pytest.mark.parametrize("gpu", get_args(GpuType))
def test_every_gpu_of_the_spec_has_a_price(gpu: str) -> None:
    price = prices().machine(gpu, 1, 0, 0, 3600)
    assert price is not None
    assert 0.1 < price.hour < 20


def test_an_hour_is_gpus_cores_and_memory_and_the_most_is_every_attempt_until_its_timeout() -> None:
    machine = {"gpu": {"type": "H100", "count": 2}, "cpus": 8, "memory": 32768}
    spec = ExperimentSpec.model_validate({"modal": {**machine, "timeout": 7200, "retries": 1}})
    price = prices().of(spec)
    assert price is not None
    assert price.gpu == pytest.approx(2 * 3.9492)
    assert price.hour == pytest.approx(2 * 3.9492 + 8 * 0.04716 + 32 * 0.007992)
    assert price.most == pytest.approx(price.hour * 4)
    assert (price.date, price.source) == ("2026-07-01", "https://modal.com/pricing")


@pytest.mark.parametrize(("region", "times"), [("us", 1.5), ("eu-west", 1.75), ("us, eu-west", 1.75)])
def test_a_region_multiplies_the_price(region: str, times: float) -> None:
    base = prices().of(ExperimentSpec())
    price = prices().of(ExperimentSpec.model_validate({"modal": {"region": region}}))
    assert base is not None
    assert price is not None
    assert price.hour == pytest.approx(times * base.hour)
    assert price.times == times
    assert price.most == pytest.approx(times * base.most)


def test_a_gpu_that_the_table_lacks_has_no_price() -> None:
    assert prices().machine("TPU", 1, 0, 0, 3600) is None


def test_the_users_figures_lie_over_the_table(settings: Settings) -> None:
    file = settings.config_dir / "prices.toml"
    file.write_text('date = "2027-01-01"\n[gpu]\nH100 = 1.5\n[container]\ncpu = 0\n')
    table = prices(settings)
    assert table.gpu["H100"] == 1.5
    assert table.gpu["T4"] == pytest.approx(0.5904)
    assert (table.cpu, table.memory) == (0, 0.007992)
    assert (table.date, table.source, table.own) == ("2027-01-01", str(file), str(file))


@pytest.mark.parametrize("text", ["gpu = 3", "[gpu]\nH100 = 'much'", "this is no toml", "[gpu"])
def test_a_file_that_is_no_table_is_named(settings: Settings, text: str) -> None:
    file = settings.config_dir / "prices.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"prices\.toml"):
        prices(settings)
