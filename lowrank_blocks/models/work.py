"""Work on one matrix after another: in this process, in others, or on other machines."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from lowrank_blocks.models.journal import Arrays, Journal

Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """Why there is no result for a matrix."""

    reason: str


class Job(ABC, Generic[Result]):
    """Work on one matrix that can be sent to another process: it reads its own tensors.

    Attributes
    ----------
    name : str
        The matrix.
    """

    name: str

    @abstractmethod
    def run(self) -> Result:
        """Do the work.

        Raises
        ------
        ValueError
            If the tensors cannot be used; the message says why.
        """

    @property
    @abstractmethod
    def key(self) -> str:
        """All that the result depends on."""

    @abstractmethod
    def packed(self, result: Result) -> Arrays:
        """Return a result as arrays for the journal."""

    @abstractmethod
    def unpacked(self, arrays: Arrays) -> Result:
        """Return the result that arrays of the journal hold.

        Raises
        ------
        KeyError, ValueError
            If they do not hold one.
        """

    def kept(self, result: Result, key: str, journal: Journal) -> Result:
        """Return what is held of a result that the journal holds under a key: by default all of it."""
        return result


def gathered(
    jobs: Sequence[Job[Result]],
    *,
    executor: Executor | None = None,
    journal: Journal | None = None,
    description: str = "matrices",
) -> list[Result | Failure]:
    """Return the results of jobs in their order, whatever the order in which they are done.

    Parameters
    ----------
    jobs : sequence of Job
        Independent of each other.
    executor : concurrent.futures.Executor, optional
        Where they are done; by default here, one after the other.
    journal : Journal, optional
        Holds results of an earlier run, and takes those of this one.
    description : str, optional
        What the progress bar shows on a terminal.

    Warns
    -----
    RuntimeWarning
        If the workers of the executor are lost. What they had not finished is then done here.
    """
    from tqdm import tqdm

    results: dict[int, Result | Failure] = {}
    keys = [] if journal is None else [job.key for job in jobs]
    if journal is not None:
        for i, (job, key) in enumerate(zip(jobs, keys, strict=True)):
            known = _recalled(job, key, journal)
            if known is not None:
                results[i] = job.kept(known, key, journal)
    open_jobs = {i: job for i, job in enumerate(jobs) if i not in results}
    with tqdm(total=len(jobs), initial=len(results), desc=description, disable=None, leave=False) as bar:
        for i, result in _done(open_jobs, executor):
            if journal is not None and not isinstance(result, Failure):
                journal.write(keys[i], jobs[i].packed(result))
                result = jobs[i].kept(result, keys[i], journal)
            results[i] = result
            bar.set_postfix_str(ascii(jobs[i].name)[1:-1][-40:], refresh=False)
            bar.update()
    return [results[i] for i in range(len(jobs))]


def _recalled(job: Job[Result], key: str, journal: Journal) -> Result | None:
    """Return what the journal holds under the key of a job; None if there is nothing whole."""
    arrays = journal.read(key)
    try:
        return None if arrays is None else job.unpacked(arrays)
    except (KeyError, ValueError, IndexError):
        return None


def _done(jobs: dict[int, Job[Result]], executor: Executor | None) -> Iterator[tuple[int, Result | Failure]]:
    """Yield results as they come; jobs of workers that are lost are done here."""
    left = dict(jobs)
    if executor is not None:
        try:
            yield from _submitted(left, executor)
        except BrokenExecutor as error:
            warnings.warn(
                f"the workers were lost ({error}); the {len(left)} matrices left are done in this process.",
                RuntimeWarning,
                stacklevel=3,
            )
    for i in list(left):
        done: Result | Failure = attempted(left.pop(i))
        yield i, done


def _submitted(left: dict[int, Job[Result]], executor: Executor) -> Iterator[tuple[int, Result | Failure]]:
    """Yield results of an executor as they come, and take the jobs off `left`."""
    futures: dict[Future[Any], int] = {executor.submit(attempted, job): i for i, job in left.items()}
    try:
        for future in as_completed(futures):
            result = future.result()
            left.pop(futures[future])
            yield futures[future], result
    finally:
        for future in futures:
            future.cancel()


def attempted(job: Job[Result]) -> Result | Failure:
    """Run a job; a matrix that cannot be used is a result, too, and does not stop the others."""
    try:
        with np.errstate(invalid="ignore"):  # infinities less infinities are found as NaN
            return job.run()
    except ValueError as error:
        return Failure(str(error))
