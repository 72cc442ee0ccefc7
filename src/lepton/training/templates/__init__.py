"""Networks to copy and to change: each file stands alone, needs PyTorch only, and has one function ``build(problem)``.

``problem`` has `width` (columns of the matrix), `outputs` (K logits, or 1) and `blocks` (what the columns are).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lepton.core.errors import InvalidInput


@dataclass(frozen=True)
class Template:
    """One of the networks.

    Attributes:
        file: Name of the file in this folder.
        about: What it is for, a sentence.
    """

    file: str
    about: str

    def source(self) -> str:
        """Return the text of the file, to be copied."""
        return (Path(__file__).parent / self.file).read_text("utf-8")


TEMPLATES: dict[str, Template] = {
    "mlp": Template("mlp.py", "Tables: layers of neurons, with an embedding for each column of categories or words."),
    "cnn": Template("cnn.py", "Small square images in gray whose pixels are the columns: two convolutions."),
    "resnet": Template("resnet.py", "Square images in gray whose pixels are the columns: a residual network."),
    "transformer": Template("transformer.py", "Texts as tokens: a small transformer encoder."),
    "gru": Template("gru.py", "Sequences, as columns t0, t1, … or as tokens: a recurrent network."),
    "tcn": Template("tcn.py", "Sequences, as columns t0, t1, … or as tokens: dilated causal convolutions."),
}
"""By name."""


def find(name: str) -> Template:
    """Return a template.

    Raises:
        InvalidInput: if there is none of this name.
    """
    if name not in TEMPLATES:
        raise InvalidInput(f"There is no template {name[:80]!r}. Choose one of: {', '.join(TEMPLATES)}.")
    return TEMPLATES[name]
