"""Free text as a bag of words, cut into words by the same graph nodes in fitting, in training and in serving.

A word is a run of letters, digits and apostrophes; a Chinese character is a word of its own. ASCII capitals are made
small. The nodes are ONNX's StringNormalizer and onnxruntime's own Tokenizer (domain ``com.microsoft``): ONNX itself can
only split at a fixed separator, which would leave "free", "free!" and "free," three words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper

from lepton.models.prediction import open_session
from lepton.models.values import TEXT_BUDGET, Array

MAX_WORDS = 1000
"""Most words of one column; rarer ones count for nothing."""
MIN_WORDS_A_TEXT = 2.0
"""Texts with fewer words on average are identifiers rather than text."""
MIN_ROWS_WITH_WORD = 3

_WORD = r"\p{Han}|(?:[^\P{L}\p{Han}]|[\p{M}\p{N}'])+"
_LOWER: dict[str, Any] = {"case_change_action": "LOWER", "locale": "C"}  # other locales are not there on every machine
_TOKENIZER: dict[str, Any] = {"domain": "com.microsoft", "mark": 0, "pad_value": "", "mincharnum": 1, "tokenexp": _WORD}


def tokenizer_nodes(text: str, lowered: str, words: str) -> list[onnx.NodeProto]:
    """Write the nodes that cut `text` [N] into `words` [N, M], padded with ``""``."""
    return [
        helper.make_node("StringNormalizer", [text], [lowered], **_LOWER),
        helper.make_node("Tokenizer", [lowered], [words], **_TOKENIZER),
    ]


def find_words(batches: Iterable[Array]) -> tuple[str, ...]:
    """Return the words that are in the most texts, the most frequent first; none if these are no texts.

    Args:
        batches: Texts, str objects [n]; ``""`` is missing and not counted.
    """
    session = open_session(_tokenizer())
    rows: Counter[str] = Counter()
    texts = total = 0
    for batch in batches:
        present = batch[batch != ""]
        for part in split_texts(present):
            for words in session.run(None, {"text": part})[0].tolist():
                found = [word for word in words if word]
                total += len(found)
                rows.update(set(found))
        texts += len(present)
    if total < MIN_WORDS_A_TEXT * texts:
        return ()
    ranked = sorted(rows.items(), key=lambda item: (-item[1], item[0]))
    return tuple(word for word, count in ranked[:MAX_WORDS] if count >= MIN_ROWS_WITH_WORD)


def split_texts(texts: Array) -> Iterator[Array]:
    """Cut texts [n] into parts that can be tokenized together in bounded memory."""
    lengths = [len(text) for text in texts.tolist()]
    for first, end in text_parts(lengths):
        yield texts[first:end]


def text_parts(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut rows with texts of these lengths into ranges (first, end) of bounded size."""
    first = longest = 0
    for at, length in enumerate(lengths):
        grown = max(longest, length)
        if at > first and (at - first + 1) * grown > TEXT_BUDGET:
            yield first, at
            first, grown = at, length
        longest = grown
    if lengths:
        yield first, len(lengths)


def _tokenizer() -> bytes:
    graph = helper.make_graph(
        tokenizer_nodes("text", "lowered", "words"),
        "lepton",
        [helper.make_tensor_value_info("text", TensorProto.STRING, ["N"])],
        [helper.make_tensor_value_info("words", TensorProto.STRING, ["N", "M"])],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return data
