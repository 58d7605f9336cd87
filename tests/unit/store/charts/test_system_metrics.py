"""Samples of a machine as figures for people."""

from __future__ import annotations

from tui.store.charts.system_metrics import MachineHistory, figures, has_gpu

SAMPLE = {
    "cpu_percent": 40.0,
    "memory_gb": 30.0,
    "memory_total_gb": 32.0,
    "worker_rss_gb": 4.0,
    "server_rss_gb": 8.0,
}
GPU = {"gpu10_percent": 5.0, "gpu2_percent": 90.0, "gpu2_memory_gb": 20.0, "gpu2_memory_total_gb": 40.0}


def test_figures_have_names_units_and_what_they_can_be_at_most() -> None:
    found = {figure.label: figure for figure in figures(SAMPLE)}
    assert list(found) == ["CPU", "memory", "worker's memory", "server's memory"]
    assert (found["CPU"].unit, found["CPU"].share) == ("%", 0.4)
    assert (found["memory"].unit, found["memory"].total) == ("GiB", 32.0)
    assert found["worker's memory"].share == 0.125


def test_only_a_whole_memory_can_be_nearly_full() -> None:
    full = {figure.label for figure in figures({**SAMPLE, "worker_rss_gb": 31.0}) if figure.nearly_full}
    assert full == {"memory"}


def test_gpus_are_ordered_by_number_and_others_keep_their_names() -> None:
    labels = [figure.label for figure in figures({**SAMPLE, **GPU, "fan_rpm": 900.0})]
    assert labels[4:] == ["GPU 2", "GPU 2 memory", "GPU 10", "fan_rpm"]
    assert has_gpu(GPU)
    assert not has_gpu(SAMPLE)


def test_a_history_takes_in_only_what_is_new_and_never_goes_back_in_time() -> None:
    samples = [(100.0, {"cpu_percent": 1.0}), (105.0, {"cpu_percent": 9.0})]
    history = MachineHistory(samples)
    assert history.refresh()
    assert not history.refresh()
    samples.append((90.0, {"cpu_percent": 4.0, "memory_gb": 2.0}))
    assert history.refresh()
    assert history.over_time["cpu_percent"].steps == [0.0, 5.0, 5.0]
    assert history.peak("cpu_percent") == 9.0
    assert history.latest["memory_gb"] == 2.0
