"""Encoding many recordings, in this process or in several; the codes are the same."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import torch

from audio.manifest import Clip
from tokenizer.parquet import CodedClip
from tokenizer.tokenizer import Tokenizer


@contextmanager
def encoding_pool(workers: int) -> Iterator[Executor | None]:
    """Worker processes for `encode_clips`; none where one process is to do it all."""
    if workers <= 1:
        yield None
        return
    # Forking a process that runs torch threads may hang: start fresh ones.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin_worker) as pool:
        yield pool


def _begin_worker() -> None:
    torch.set_num_threads(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def encode_clips(
    tokenizer: Tokenizer, folder: Path, root: Path, jobs: Sequence[tuple[Clip, int]], pool: Executor | None
) -> Iterator[CodedClip]:
    """Codes of clips below ``root``, in order; a job is a clip and the frames to skip. ``folder``: the tokenizer's."""
    if pool is None:
        yield from (encode_clip(tokenizer, root, job) for job in jobs)
    else:
        yield from pool.map(partial(_encode_elsewhere, folder, root), jobs, chunksize=8)


def encode_clip(tokenizer: Tokenizer, root: Path, job: tuple[Clip, int]) -> CodedClip:
    """Codes of one clip and what the manifest knows of it."""
    clip, offset = job
    return CodedClip(
        path=clip.path,
        codes=tokenizer.encode_file(root / clip.path, offset_frames=offset),
        split=clip.split,
        label=clip.label,
        group=clip.group,
        offset_frames=offset,
    )


def _encode_elsewhere(folder: Path, root: Path, job: tuple[Clip, int]) -> CodedClip:
    return encode_clip(_loaded(folder), root, job)


@lru_cache(maxsize=1)
def _loaded(folder: Path) -> Tokenizer:
    return Tokenizer.from_pretrained(folder)
