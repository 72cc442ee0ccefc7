"""Versioned predictors: features and predictor in one ONNX graph, signature, metrics, lineage. Import its modules."""
