# Written by make docs from python/bindings; edit that.
"""
Tessera's compiler and runtime. The public interface is the package tessera.
"""

import enum
import types

import tessera
from tessera import Tensor as Tensor

class DType(enum.Enum):
    """The type of a tensor's elements."""

    bool = 0

    uint8 = 1

    int8 = 2

    int16 = 3

    int32 = 4

    int64 = 5

    float16 = 6

    bfloat16 = 7

    float32 = 8

    float64 = 9

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""

def dtype(name: object) -> DType:
    """The DType of a name, with or without "torch."."""

def from_dlpack(object: object) -> tessera.Tensor:
    """
    A Tensor that shares the memory of a DLPack capsule or of any object with __dlpack__. A negated view of torch is copied.
    """

def to_dlpack(tensor: tessera.Tensor) -> object:
    """
    A DLPack capsule that shares the tensor's memory; it can be imported once.
    """

def storage_stats() -> dict:
    """Memory the runtime holds: storages in use, and blocks kept for reuse."""

def trim_storage_cache() -> None:
    """Returns the memory kept for reuse to the system."""

class Value:
    """A value of the graph being built."""

    @property
    def id(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple: ...
    def __repr__(self) -> str: ...

class GraphModule:
    """A function in Graph IR, ready to compile."""

    @staticmethod
    def parse(text: str) -> GraphModule:
        """Reads Graph IR text."""

    def str(self, locations: bool = False) -> str: ...
    def __str__(self) -> str: ...

class GraphBuilder:
    """Builds a function of Graph IR op by op; result types are inferred."""

    def __init__(self) -> None: ...
    def input(self, name: str, dtype: object, shape: object) -> Value: ...
    def parameter(self, name: str, dtype: object, shape: object) -> Value: ...
    def constant(
        self, array: object, dtype: object, shape: object, loc: object | None = None
    ) -> Value:
        """A dense constant from a contiguous buffer; one element stands for all."""

    def create(
        self, op: str, operands: object, attrs: dict = {}, loc: object | None = None
    ) -> list[Value]:
        """
        One op of the graph dialect, named without prefix; its results. ValueError with the verifier's text when it does not verify.
        """

    def island(
        self, id: int, reason: str, operands: object, results: object, loc: object | None = None
    ) -> list[Value]:
        """A call of the island `id`; result types are given."""

    def finish(self, outputs: object) -> GraphModule: ...

class SourceLocation:
    """Module path, file and line of an op."""

    @property
    def fqn(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int: ...

class KernelReport:
    """What the report says of one launch."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def schedule(self) -> str: ...
    @property
    def origins(self) -> list[SourceLocation]: ...
    @property
    def flops(self) -> float: ...
    @property
    def bytes(self) -> float: ...
    @property
    def cached(self) -> bool: ...

class CompileTimings:
    """Where compiling spent its time."""

    @property
    def lower_ms(self) -> float: ...
    @property
    def codegen_ms(self) -> float: ...
    @property
    def kernels(self) -> int: ...
    @property
    def cache_hits(self) -> int: ...

class HostInfo:
    """The machine and the compiler."""

    @property
    def cpu(self) -> str: ...
    @property
    def features(self) -> str: ...
    @property
    def vector_bits(self) -> int: ...
    @property
    def llvm_version(self) -> str: ...
    @property
    def compiler_build(self) -> str: ...

class CompiledProgram:
    """Machine code, and how it came about."""

    def ir(self, level: str, locations: bool = False) -> str:
        """The text of what runs: graph, schedule, tile, target, llvm or asm."""

    @property
    def launches(self) -> list[KernelReport]:
        """A KernelReport a launch, in order."""

    @property
    def timings(self) -> CompileTimings: ...
    @property
    def instructions(self) -> list:
        """
        What runs, launches and islands in order: dicts of kind, target, kernel, fqn and source.
        """

    @property
    def input_names(self) -> list[str]: ...
    @property
    def parameter_names(self) -> list[str]: ...
    @property
    def arena_bytes(self) -> int: ...

def compile(
    module: GraphModule, *, cpu: str = "", threads: int = 1, cache_dir: str = ""
) -> CompiledProgram:
    """
    Compiles Graph IR for this machine; RuntimeError with the compiler's message when that fails.
    """

def host_info() -> HostInfo: ...

class Executable:
    """
    A compiled program with its parameters; called with the program's inputs. One output comes as it is, several as a tuple: torch tensors, unless all inputs are tessera's own.
    """

    def __call__(self, /, *args, **kwargs):
        """Call self as a function."""

    profile: types.MethodDescriptorType = ...

    refresh: types.MethodDescriptorType = ...

    __vectorcalloffset__: types.MemberDescriptorType = ...

    stats: getset_descriptor = ...

    name: getset_descriptor = ...

    compiled: getset_descriptor = ...
