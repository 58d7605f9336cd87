"""GSM8K itself, from the Hugging Face hub or its cache.

Owns reading the data set's files and saying what to do where they cannot be had.
"""

from __future__ import annotations

import re

from vf_gsm8k.problems import Problem, Split

REPOSITORY = "openai/gsm8k"
FILES = {"train": "main/train-00000-of-00001.parquet", "eval": "main/test-00000-of-00001.parquet"}
"""7,473 problems to train on; held out are the 1,319 of GSM8K's own test set."""

_CALCULATED = re.compile(r"<<[^<>]*>>")


def gsm8k(split: Split) -> list[Problem]:
    """Every problem of one split, in the file's order. Raises `RuntimeError` where it cannot be had."""
    import pyarrow.parquet as parquet

    rows = parquet.read_table(_download(FILES[split])).to_pylist()
    return [_problem(row["question"], row["answer"]) for row in rows]


def _download(file: str) -> str:
    from huggingface_hub import hf_hub_download

    try:
        return str(hf_hub_download(REPOSITORY, file, repo_type="dataset"))
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "no reason given")
        raise RuntimeError(
            f"{REPOSITORY} cannot be had from the Hugging Face hub ({type(error).__name__}: {reason}); "
            "connect to it once and it is kept in HF_HOME, or set source to gsm_symbolic, which needs no hub"
        ) from error


def _problem(question: str, solution: str) -> Problem:
    working, _, answer = solution.rpartition("####")
    return Problem(question.strip(), answer.strip(), _CALCULATED.sub("", working).strip())
