"""The servers that are compared, in the order of the tables. Each is a file here; add it to the dictionary."""

from benchmarks.serving.peer import Peer
from benchmarks.serving.peers import (
    bentoml,
    ceiling,
    fastapi,
    kserve,
    lepton,
    litserve,
    mlflow,
    mlserver,
    rayserve,
    triton,
)

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        ceiling.FIXED,
        ceiling.COMPUTING,
        lepton.PEER,
        triton.PEER,
        fastapi.PEER,
        rayserve.PEER,
        mlserver.PEER,
        kserve.PEER,
        bentoml.PEER,
        litserve.PEER,
        mlflow.PEER,
    )
}
