"""Files for others: TFLite, ONNX, ExecuTorch, the card beside them."""
