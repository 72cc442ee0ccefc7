"""Joins the features of a model and what a framework has learned to one graph, with our inputs and outputs."""

from __future__ import annotations

import onnx
from onnx import TensorProto, compose, helper, version_converter

from lepton.core.errors import Internal
from lepton.models import adopted
from lepton.models.features import CategoryFeature, Feature, Features, NumberFeature, TokensFeature
from lepton.models.graph import features_graph
from lepton.models.signature import NUMBERS, Signature
from lepton.training.recipes.port import Block

_PREFIX = "predictor/"
_MATRIX = "lepton_matrix"


def blocks_of(features: Features) -> tuple[Block, ...]:
    """Say which columns of the matrix come from which column of the table."""
    found: list[Block] = []
    first = 0
    for item in features.made:
        values = item.categories if isinstance(item, CategoryFeature) else ()
        found.append(Block(item.column.name, *_kind(item, first), values))
        first += item.width
    return tuple(found)


def join(features: Features, predictor: bytes, signature: Signature) -> bytes:
    """Write one graph of features and predictor.

    Args:
        features: Fitted; they make float64 [N, width].
        predictor: A graph with one matrix float32 [N, width] in, and probabilities [N, K] or numbers [N] out.
        signature: What the whole takes and answers.

    Raises:
        InvalidInput: if the predictor is none that can be joined.
        Internal: if the two do not fit together.
    """
    foreign = adopted.read(predictor)
    back = onnx.load_from_string(adopted.adopt(foreign, signature, width=features.width))
    front = onnx.load_from_string(features_graph(features))
    try:
        front, back = _same_operators(front, back)
        back = compose.add_prefix(back, _PREFIX, rename_inputs=False, rename_outputs=False)
        _rename(back, NUMBERS, _MATRIX)
        model = compose.merge_models(front, back, io_map=[(front.graph.output[0].name, _MATRIX)])
        model.ir_version, model.producer_name = front.ir_version, "lepton"
        onnx.checker.check_model(model, full_check=True)
    except Exception:  # noqa: BLE001 - onnx raises classes of many kinds
        raise Internal("The features and what was learned could not be joined to one graph.") from None
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _kind(item: Feature, first: int) -> tuple[str, int, int, int]:
    if isinstance(item, TokensFeature):
        return "tokens", first, item.width, len(item.words) + 2
    if isinstance(item, NumberFeature):
        return "number", first, item.width, 0
    return "category" if isinstance(item, CategoryFeature) else "words", first, item.width, 2


def _same_operators(front: onnx.ModelProto, back: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Bring both to the same versions of the operators; ours mean the same in later ones."""
    ours, theirs = _opsets(front), _opsets(back)
    if theirs[""] < ours[""]:
        back = version_converter.convert_version(back, ours[""])
        theirs = _opsets(back)
    wanted = {domain: max(ours.get(domain, 1), theirs.get(domain, 1)) for domain in {*ours, *theirs}}
    for model in (front, back):
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in sorted(wanted.items()))
        model.ir_version = max(front.ir_version, back.ir_version)
    return front, back


def _opsets(model: onnx.ModelProto) -> dict[str, int]:
    return {("" if one.domain == "ai.onnx" else one.domain): one.version for one in model.opset_import}


def _rename(model: onnx.ModelProto, name: str, to: str) -> None:
    graph = model.graph
    for node in graph.node:
        node.input[:] = [to if one == name else one for one in node.input]
    assert graph.input[0].type.tensor_type.elem_type == TensorProto.DOUBLE  # as `adopt` writes it
    graph.input[0].name = to
