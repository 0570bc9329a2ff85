"""How the benchmarks measure time."""
import time

import torch


def seconds(task) -> float:
    "How long a task takes: on one thread in seconds of that core's work, so that other programs do not count."
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    started = clock()
    task()
    return clock() - started
