"""Hugging Face's Trainer on words in their order: a transformer that says the class of a text, or a number.

Trainer has the loop, DDP the workers; what is told, saved and kept on the way is in `trainer_watch`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lepton.core.errors import InvalidInput
from lepton.training.context import TrainingContext
from lepton.training.recipes.building import build_model
from lepton.training.recipes.epochs import Plan
from lepton.training.recipes.parameters import at_least, choose, read_parameters
from lepton.training.recipes.port import Fitted, Material, Parameters, Problem
from lepton.training.recipes.scale import Scale

_PRECISIONS = ("auto", "float32", "bfloat16")
_SCHEDULES = ("linear", "cosine", "constant")


class TransformersRecipe:
    """A transformer on texts."""

    name = "transformers"
    needs: Sequence[str] = ("torch", "transformers", "accelerate", "onnxscript")
    parameters: Mapping[str, Any] = MappingProxyType(
        {
            "epochs": 10,
            "batch_size": 32,
            "learning_rate": 0.0005,
            "weight_decay": 0.01,
            "schedule": "linear",
            "patience": 3,
            "hidden_size": 64,
            "layers": 2,
            "heads": 2,
            "dropout": 0.1,
            "precision": "auto",
        }
    )

    def fit(
        self, material: Material, context: TrainingContext, parameters: Parameters, model: object | None
    ) -> Fitted | None:
        """Learn, together with the other workers; see `Recipe.fit`.

        Only the columns of ``tokens`` are learned from. A user's model is a configuration of transformers, or a
        ``PreTrainedModel`` that takes ``input_ids``, ``attention_mask`` and ``labels`` and answers ``loss`` and
        ``logits``, or a class or function that makes one of these. Nothing is fetched from a hub.
        """
        chosen = read_parameters(self.parameters, parameters)
        choose("precision", chosen["precision"], _PRECISIONS)
        choose("schedule", chosen["schedule"], _SCHEDULES)
        for name in ("learning_rate", "weight_decay", "dropout"):
            at_least(name, chosen[name], 0.0)
        for name in ("hidden_size", "layers", "heads"):
            at_least(name, chosen[name], 1)
        if chosen["hidden_size"] % chosen["heads"]:
            raise InvalidInput(
                f"A hidden_size of {chosen['hidden_size']} cannot be dealt out to {chosen['heads']} heads. Take a multiple."
            )
        plan = Plan(chosen["epochs"], chosen["batch_size"], chosen["patience"])
        words = [block for block in material.problem.blocks if block.kind == "tokens"]
        if not words:
            raise InvalidInput(
                "The recipe transformers learns from texts, and there is no column of words in their order. Name one as "
                "text, or take another recipe."
            )
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a training fetches nothing
        import torch
        import transformers

        from lepton.training.recipes.token_columns import OfTexts, TokenColumns
        from lepton.training.recipes.torch_graph import graph_of, scores_of
        from lepton.training.recipes.torch_group import joined
        from lepton.training.recipes.trainer_watch import train

        torch.set_num_threads(context.threads)
        transformers.set_seed(material.seed)
        columns = TokenColumns.of(words)
        network = _network(model, material.problem, columns.size, columns.width, chosen)
        scale = Scale.of(material, context)
        with tempfile.TemporaryDirectory() as folder, _told_apart(context), joined(context):
            arguments = _arguments(folder, chosen, plan, material, context)
            train(network, arguments, columns, scale, material, context, plan)
        if context.collective.rank:
            return None
        texts = OfTexts(network.cpu().float(), columns, material.problem, scale)
        unused = [block.column for block in material.problem.blocks if block.kind != "tokens"]
        notes = (f"Only texts are learned from; not used: {', '.join(unused)}.",) if unused else ()
        return Fitted(graph_of(texts, material.problem.width), scores_of(texts), notes)


def _network(model: object | None, problem: Problem, size: int, width: int, chosen: Parameters) -> Any:
    """Return the user's network, one of the user's configuration, or a small BERT."""
    import transformers

    made = model if model is None else build_model(model, problem)
    if made is None:
        made = transformers.BertConfig(
            vocab_size=size,
            hidden_size=chosen["hidden_size"],
            num_hidden_layers=chosen["layers"],
            num_attention_heads=chosen["heads"],
            intermediate_size=2 * chosen["hidden_size"],
            hidden_dropout_prob=chosen["dropout"],
            attention_probs_dropout_prob=chosen["dropout"],
            max_position_embeddings=width,
            pad_token_id=0,
        )
    if isinstance(made, transformers.PreTrainedConfig):
        made.num_labels = problem.outputs
        made.problem_type = "regression" if problem.classes is None else "single_label_classification"
        made = transformers.AutoModelForSequenceClassification.from_config(made)
    if not isinstance(made, transformers.PreTrainedModel):
        raise InvalidInput(
            f"The recipe transformers learns a PreTrainedModel or a configuration of one, not {type(made).__name__}. Give "
            "such an object, or a class or function that makes one."
        )
    if made.config.num_labels != problem.outputs:
        raise InvalidInput(
            f"The model has {made.config.num_labels} labels; {problem.outputs} are needed. Set num_labels={problem.outputs}."
        )
    if (known := getattr(made.config, "vocab_size", size)) < size:
        raise InvalidInput(f"The model knows {known} tokens; there are {size}. Set vocab_size={size}.")
    return made


def _arguments(folder: str, chosen: Parameters, plan: Plan, material: Material, context: TrainingContext) -> Any:
    """Return what Trainer is told; what it would write, say or fetch by itself is switched off."""
    import transformers

    precise = chosen["precision"] == "float32" or (chosen["precision"] == "auto" and context.gpu is None)
    arguments = transformers.TrainingArguments(
        output_dir=str(Path(folder) / "trainer"),
        num_train_epochs=plan.epochs,
        per_device_train_batch_size=plan.batch_size,
        learning_rate=chosen["learning_rate"],
        weight_decay=chosen["weight_decay"],
        lr_scheduler_type=chosen["schedule"],
        optim="adamw_torch",
        bf16=not precise,
        seed=material.seed,
        use_cpu=context.gpu is None,
        ddp_backend=None if context.collective.world_size == 1 else "gloo" if context.gpu is None else "nccl",
        ddp_broadcast_buffers=False,
        average_tokens_across_devices=False,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        eval_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        ignore_data_skip=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    if context.collective.world_size == 1:
        arguments._n_gpu = min(arguments.n_gpu, 1)  # else it spreads one worker over all GPUs that it sees
    return arguments


@contextmanager
def _told_apart(context: TrainingContext) -> Iterator[None]:
    """Tell accelerate, which reads it from the environment, who this worker is."""
    from accelerate.state import AcceleratorState

    rank, workers = context.collective.rank, context.collective.world_size
    told = {"RANK": str(rank), "WORLD_SIZE": str(workers)}
    told["LOCAL_RANK"] = os.environ.get("LOCAL_RANK", str(rank)) if context.gpu is None else str(context.gpu)
    before = {name: os.environ.get(name) for name in told}
    if workers > 1:
        os.environ.update(told)
    else:  # what an outer launcher has said to somebody else
        for name in told:
            os.environ.pop(name, None)
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        yield
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


RECIPE = TransformersRecipe()
