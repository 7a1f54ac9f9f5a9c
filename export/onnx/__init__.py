"""ONNX files of the integer network and of the float decoder."""

__all__: list[str] = []
