"""The smallest recipe there can be: softmax regression by gradient descent, with which the contract itself is tried."""

from __future__ import annotations

import io
from typing import ClassVar

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from lepton.training.recipes.building import build_model
from lepton.training.recipes.parameters import read_parameters
from lepton.training.recipes.port import Fitted, check_loss


class Zeros:
    """A model that a user may bring: where learning begins."""

    def start(self, width, outputs):
        return np.zeros((width, outputs))


class Plain:
    name = "plain"
    needs = ("onnx",)
    parameters: ClassVar = {"epochs": 200, "batch_size": 480, "learning_rate": 0.5, "patience": 0}

    def fit(self, material, context, parameters, model):
        told = read_parameters(self.parameters, parameters)
        problem = material.problem
        begin = build_model(model if model is not None else Zeros, problem)
        weights = begin.start(problem.width + 1, problem.outputs)
        mean, scale = 0.0, 1.0
        if not problem.classes:
            targets = material.train.matrix()[1]
            n, total, squares = context.collective.all_reduce([len(targets), targets.sum(), (targets**2).sum()])
            mean, scale = total / n, float(np.sqrt(squares / n - (total / n) ** 2))
        best, best_loss, bad, step = weights.copy(), np.inf, 0, 0
        size = told["batch_size"]
        steps = material.train.steps(size)
        if saved := context.checkpoints.restore(context.collective):
            with np.load(io.BytesIO(saved.state), allow_pickle=False) as kept:
                weights, best, (best_loss, bad) = kept["weights"], kept["best"], kept["watched"].tolist()
            step = saved.step

        def state():
            buffer = io.BytesIO()
            np.savez(buffer, weights=weights, best=best, watched=np.array([best_loss, bad]))
            return buffer.getvalue()

        for epoch in range(step // steps, told["epochs"]):
            for features, targets in material.train.batches(size, epoch=epoch, skip=step - epoch * steps):
                step += 1
                gradient, loss = self._gradient(weights, features, targets, problem, mean, scale)
                total = context.collective.all_reduce(np.concatenate([gradient.ravel(), [loss, len(targets)]]))
                loss = check_loss(float(total[-2] / total[-1]), step)
                weights = weights - told["learning_rate"] * total[:-2].reshape(weights.shape) / total[-1]
                if step % steps and context.checkpoints.due(step):
                    context.checkpoints.save(step, state, context.collective)
            metrics = {"loss": loss}
            if material.valid is not None:
                features, targets = material.valid.matrix()
                _, own = self._gradient(weights, features, targets, problem, mean, scale)
                total, count = context.collective.all_reduce([own, len(targets)])
                metrics["valid_loss"] = float(total / count)
                bad += 1
                if metrics["valid_loss"] < best_loss:
                    best, best_loss, bad = weights.copy(), metrics["valid_loss"], 0
            context.report(step, **metrics)
            if context.checkpoints.due(step):
                context.checkpoints.save(step, state, context.collective)
            if context.stop_agreed() or (told["patience"] and bad >= told["patience"]):
                break
        if context.collective.rank:
            return None
        if told["patience"] and material.valid is not None:
            weights = best
        return Fitted(*self._leave(weights, problem, mean, scale))

    @staticmethod
    @np.errstate(all="ignore")  # check_loss sees what is not finite
    def _gradient(weights, features, targets, problem, mean, scale):
        rows = np.concatenate([features, np.ones((len(features), 1))], axis=1)
        scores = rows @ weights
        if not problem.classes:
            wrong = scores[:, 0] - (targets - mean) / scale
            return rows.T @ wrong[:, None], float(wrong @ wrong)
        scores -= scores.max(axis=1, keepdims=True)
        shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        loss = -np.log(np.clip(shares[np.arange(len(targets)), targets], 1e-12, None)).sum()
        return rows.T @ (shares - np.eye(problem.classes)[targets]), float(loss)

    @staticmethod
    def _leave(weights, problem, mean, scale):
        matrix, bias = weights[:-1], weights[-1]
        if not problem.classes:
            matrix, bias = matrix * scale, bias * scale + mean
        matrix, bias = matrix.astype(np.float32), bias.astype(np.float32)
        nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["z" if problem.classes else "y"])]
        if problem.classes:
            nodes.append(helper.make_node("Softmax", ["z"], ["y"], axis=1))
        graph = helper.make_graph(
            nodes,
            "plain",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, problem.width])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, problem.outputs])],
            [numpy_helper.from_array(matrix, "w"), numpy_helper.from_array(bias, "b")],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        checker.check_model(made)

        def scores(features):
            z = features @ matrix + bias
            if not problem.classes:
                return z[:, 0].astype(np.float64)
            shares = np.exp(z - z.max(axis=1, keepdims=True)).astype(np.float64)
            return shares / shares.sum(axis=1, keepdims=True)

        return made.SerializeToString(), scores


RECIPE = Plain()
