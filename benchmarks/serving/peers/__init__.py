"""The servers that are compared, in the order of the tables. Each is a file here; add it to the dictionary."""

from benchmarks.serving.peer import Peer
from benchmarks.serving.peers import ceiling, fastapi, lepton, triton

PEERS: dict[str, Peer] = {
    peer.name: peer for peer in (ceiling.FIXED, ceiling.COMPUTING, lepton.PEER, triton.PEER, fastapi.PEER)
}
