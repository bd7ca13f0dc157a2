"""Values of an ONNX graph that is being written: arithmetic on them adds nodes to it."""

from itertools import count
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import helper, numpy_helper

_OPSET = 17
_IR_VERSION = 8  # what onnxruntime of 2022 reads, too


class OnnxGraph:
    """Nodes, constants and inputs in the order in which they are asked for."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._numbers = count()

    def input(self, name: str, kind: DTypeLike) -> "OnnxValue":
        """(users, places) an input; those of one prefix have as many places."""
        places = f"{name.rpartition('_')[0]}_places"
        element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        self._inputs.append(helper.make_tensor_value_info(name, element, ["users", places]))
        return OnnxValue(self, name, kind)

    def constant(self, values: ArrayLike, kind: DTypeLike = np.float64) -> "OnnxValue":
        """A number or an array that the graph holds."""
        name = f"constant_{next(self._numbers)}"
        array = np.array(values, kind, order="C")
        self._constants.append(numpy_helper.from_array(array, name))
        return OnnxValue(self, name, kind)

    def add(
        self, operator: str, *inputs: "OnnxValue", kind: DTypeLike | None = None, **attributes: Any
    ) -> "OnnxValue":
        """What an operator makes of values; `kind` where that is not of the first one's."""
        output = f"{operator.lower()}_{next(self._numbers)}"
        names = [value.name for value in inputs]
        self._nodes.append(helper.make_node(operator, names, [output], **attributes))
        return OnnxValue(self, output, inputs[0].kind if kind is None else kind)

    def concatenated(self, values: list["OnnxValue"]) -> "OnnxValue":
        """Columns beside each other."""
        return self.add("Concat", *values, axis=1)

    def model(self, output: str, value: "OnnxValue", width: int) -> onnx.ModelProto:
        """The graph with one output, (users, width) of the value."""
        self._nodes.append(helper.make_node("Identity", [value.name], [output]))
        element = helper.np_dtype_to_tensor_dtype(value.kind)
        described = helper.make_tensor_value_info(output, element, ["users", width])
        graph = helper.make_graph(
            self._nodes, "recsys user encoder", self._inputs, [described], self._constants
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="recsys"
        )


class OnnxValue:
    """The output of a node, an input or a constant; numbers beside it become constants of its kind."""

    # numpy leaves arithmetic with arrays to this class.
    __array_ufunc__ = None

    def __init__(self, graph: OnnxGraph, name: str, kind: DTypeLike) -> None:
        self.graph = graph
        self.name = name
        self.kind = np.dtype(kind)

    def __add__(self, other: "Operand") -> "OnnxValue":
        return self._with("Add", other)

    def __mul__(self, other: "Operand") -> "OnnxValue":
        return self._with("Mul", other)

    def __truediv__(self, other: "Operand") -> "OnnxValue":
        return self._with("Div", other)

    def __pow__(self, power: "Operand") -> "OnnxValue":
        return self._with("Pow", power)

    def __matmul__(self, other: "Operand") -> "OnnxValue":
        return self._with("MatMul", other)

    def __and__(self, other: "OnnxValue") -> "OnnxValue":
        return self._with("And", other)

    def __gt__(self, other: "Operand") -> "OnnxValue":
        return self._with("Greater", other, kind=np.bool_)

    def __ge__(self, other: "Operand") -> "OnnxValue":
        return self._with("GreaterOrEqual", other, kind=np.bool_)

    def log(self) -> "OnnxValue":
        return self.graph.add("Log", self)

    def exp2(self) -> "OnnxValue":
        return self.graph.constant(2.0, self.kind) ** self

    def sqrt(self) -> "OnnxValue":
        return self.graph.add("Sqrt", self)

    def silu(self) -> "OnnxValue":
        """x / (1 + e^−x)"""
        exponential = self.graph.add("Exp", self * -1.0)
        return self / (exponential + 1.0)

    def softmax(self, axis: int) -> "OnnxValue":
        return self.graph.add("Softmax", self, axis=axis)

    def at_least(self, least: float) -> "OnnxValue":
        return self._with("Max", least)

    def at_most(self, most: float) -> "OnnxValue":
        return self._with("Min", most)

    def where(self, mask: "OnnxValue", otherwise: "Operand") -> "OnnxValue":
        """This where the mask is true, and the other elsewhere."""
        return self.graph.add("Where", mask, self, self._operand(otherwise), kind=self.kind)

    def or_one(self) -> "OnnxValue":
        """1 in the place of what is not above 0."""
        return self.where(self > 0.0, 1.0)

    def sum(self, axis: int, keep: bool = False) -> "OnnxValue":
        axes = self.graph.constant([axis], np.int64)
        return self.graph.add("ReduceSum", self, axes, keepdims=int(keep))

    def unit(self) -> "OnnxValue":
        """Vectors of length one along the last axis; zero stays zero."""
        norms = (self * self).sum(-1, keep=True).sqrt()
        return self / norms.or_one()

    def expanded(self, *axes: int) -> "OnnxValue":
        """With axes of length one at these places."""
        return self.graph.add("Unsqueeze", self, self.graph.constant(axes, np.int64))

    def shaped(self, *shape: int) -> "OnnxValue":
        """0 keeps a dimension, −1 takes what is left."""
        return self.graph.add("Reshape", self, self.graph.constant(shape, np.int64))

    def column(self, number: int) -> "OnnxValue":
        return self.graph.add("Gather", self, self.graph.constant(number, np.int64), axis=1)

    def cast(self, kind: DTypeLike) -> "OnnxValue":
        element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        return self.graph.add("Cast", self, kind=kind, to=element)

    def double(self) -> "OnnxValue":
        return self.cast(np.float64)

    def rows_of(self, table: NDArray[Any]) -> "OnnxValue":
        """Rows of a float32 table by their numbers, as double: it is kept in its own precision."""
        constant = self.graph.constant(table, np.float32)
        return self.graph.add("Gather", constant, self, axis=0).double()

    def _with(self, operator: str, other: "Operand", kind: DTypeLike | None = None) -> "OnnxValue":
        return self.graph.add(operator, self, self._operand(other), kind=kind)

    def _operand(self, other: "Operand") -> "OnnxValue":
        if isinstance(other, OnnxValue):
            return other
        return self.graph.constant(other, self.kind)


Operand = OnnxValue | float | NDArray[Any]
