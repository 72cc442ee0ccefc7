import json, pathlib, pytest
from ray_cluster import RayNode
from runs.test_ray_gangs import *


@pytest.fixture(scope="module")
def cluster():
    k = json.loads(pathlib.Path("/tmp/ray-keep.json").read_text())

    class C:
        address = k["address"]
        token = k["token"]
        nodes = [RayNode(*n[:3], pathlib.Path(n[3])) for n in k["nodes"]]

    yield C
