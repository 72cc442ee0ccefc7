"""From the files that somebody registers to what a version is made of. Nothing of them is run but a graph, apart."""

from __future__ import annotations

from lepton.core.errors import InvalidInput
from lepton.models import bundle
from lepton.models.declared import read_signature
from lepton.models.records import Trained
from lepton.models.signature import GENERATION

REGISTERED = {"python": "Code of a user's own", "openai": "Another server, which is asked"}
"""By recipe, what was registered and has no graph."""


def registered(name: str, files: dict[str, bytes]) -> Trained:
    """Return what the next version of a model is made of, from the files that came.

    Raises:
        InvalidInput: if they are no code with a signature, no graph that can be used, and name no other server.
    """
    if bundle.GRAPH in files:
        return _adopted(name, files)
    if bundle.UPSTREAM in files:
        recipe, signature = "openai", GENERATION
    elif bundle.SIGNATURE in files:
        recipe, signature = "python", read_signature(files.pop(bundle.SIGNATURE))
    else:
        raise InvalidInput(f"The code comes without a signature. Put a file {bundle.SIGNATURE} beside {bundle.ENTRY}.")
    note = f"{REGISTERED[recipe]}: it answers at endpoints, and what it says was not measured."
    return Trained(
        name=name,
        recipe=recipe,
        dataset="",
        signature=signature,
        graph=bundle.pack(files),
        metrics={},
        plots=(),
        notes=(note,),
    )


def _adopted(name: str, files: dict[str, bytes]) -> Trained:
    from lepton.models import adopted, trial  # onnx, which only who registers a graph needs

    written = files.get(bundle.SIGNATURE)
    declared = None if written is None else read_signature(written)
    foreign = adopted.read(files[bundle.GRAPH])
    width = foreign.width or (len(declared.inputs) if declared else 1)
    columns = trial.columns_of(
        foreign.model.SerializeToString(), foreign.input, foreign.outputs[0], foreign.kind, width
    )
    signature = adopted.signature_of(foreign, columns, declared)
    return Trained(
        name=name,
        recipe="onnx",
        dataset="",
        signature=signature,
        graph=adopted.adopt(foreign, signature),
        metrics={},
        plots=(),
        notes=("A graph that was made elsewhere. What it says was not measured here: lepton models evaluate does.",),
    )
