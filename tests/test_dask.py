"""A real Dask cluster: two workers in processes of their own."""

import os

import numpy as np
import pytest
from command import run
from pairs import contents, write_pair

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.updates import iter_updates
from lowrank_blocks.models.spectra import SpectraJob
from lowrank_blocks.models.work import gathered

distributed = pytest.importorskip("distributed", reason="Dask is an extra: pip install '.[dask]'")

pytestmark = pytest.mark.exhaustive


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as made:
        yield made


@pytest.mark.parametrize(
    "command", [["compare", "--blocks", "2"], ["extract", "--ranks", "plan"], ["extract"]]
)
def test_reports_of_a_cluster_are_those_of_one_process(cluster, tmp_path, command):
    pair = write_pair(tmp_path)
    name, *options = command
    for out, more in (("alone", []), ("cluster", ["--dask", cluster.scheduler_address])):
        assert run(name, *pair, *options, "--rank", "2", *more, "--out", str(tmp_path / out)) == 0
    assert contents(tmp_path / "alone") == contents(tmp_path / "cluster")


class Fatal(SpectraJob):
    """Ends the first worker that it runs on."""

    def run(self):
        flag = self.updates.base.path.with_suffix(".killed")
        if not flag.exists():
            flag.touch()
            os._exit(1)
        return super().run()


def test_a_worker_that_is_killed_loses_nothing(cluster, tmp_path):
    write_pair(tmp_path, count=12)
    updates = iter_updates(tmp_path / "base.safetensors", tmp_path / "tuned.safetensors")
    kinds = [Fatal if k == 5 else SpectraJob for k in range(12)]
    jobs = [
        kind(updates.only(name), (lb.Global(),), (2.0,))
        for kind, name in zip(kinds, updates.names, strict=True)
    ]
    with distributed.Client(cluster) as client:
        found = gathered(jobs, executor=client.get_executor())
    assert (tmp_path / "base.killed").exists()
    for job, (candidate,) in zip(jobs, found, strict=True):
        expected = np.linalg.svd(updates.read(job.name).astype(float), compute_uv=False)
        assert candidate.values[0] == pytest.approx(expected, abs=1e-5)


def test_an_address_without_a_scheduler_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lowrank_blocks.models.workers._PATIENCE", 1)
    pair = write_pair(tmp_path, count=1)
    assert run("compare", *pair, "--blocks", "2", "--dask", "tcp://127.0.0.1:9") == 2
    assert "--dask must be the address of a scheduler, got 'tcp://127.0.0.1:9'" in capsys.readouterr().err
