"""Files to deploy: TFLite, ONNX, ExecuTorch, and the card beside them."""
