"""A data-parallel training as one writes it for torchrun; prints when its first step was done, and its pace."""

import json
import os
import statistics
import time

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

STEPS, WARM_UP, BATCH = 120, 20, 256


def main() -> None:
    """Train on rows of noise."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(784, 512), torch.nn.ReLU(), torch.nn.Linear(512, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10)
    )
    model = DistributedDataParallel(network)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    features, labels = torch.randn(BATCH, 784), torch.randint(10, (BATCH,))
    took = []
    first_at = 0.0
    for step in range(STEPS):
        began = time.perf_counter()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(features), labels).backward()
        optimizer.step()
        first_at = first_at or time.time()
        if step >= WARM_UP:
            took.append(time.perf_counter() - began)
    dist.destroy_process_group()
    if os.environ["RANK"] == "0":
        print("told " + json.dumps({"first_at": first_at, "step_s": statistics.median(took)}), flush=True)


if __name__ == "__main__":
    main()
