"""Source text that is tried on a few rows, or described, before it is trusted with more: for code that models write."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._errors import ArtifactError, SignatureError, WasiUdfError
from duckdb_wasi_udf._functions.inspection import Inspection, inspect_source
from duckdb_wasi_udf._functions.scalar import ScalarFunction
from duckdb_wasi_udf._functions.signature import VARIANT, Signature, resolve
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._guests.narrowed import narrowed
from duckdb_wasi_udf._guests.trust_domain import IncomingCall, TrustDomain
from duckdb_wasi_udf._limits import MIB, HostQuota, ResourceLimits, check_kinds
from duckdb_wasi_udf._sql.repair import CODE_NAME, TrialError, trial_error
from duckdb_wasi_udf._sql.sample import Sample, arguments_of, sample_of

if TYPE_CHECKING:
    import pyarrow as pa

    from duckdb_wasi_udf._engine.call_context import CallContext

MOST_ROWS = 2048

# What a candidate may use. A second is 50 ms a row of the usual 20, and includes the imports.
_TIMEOUT_SECONDS = 1.0
_MEMORY_BYTES = 128 * MIB
_HOST = HostQuota(calls=1_000, bytes=4 * MIB, seconds=10.0)

# A block, also one after text in its first line, with text after it, or cut off before its end.
_FENCED = re.compile(r"^[^\n`~]*(```+|~~~+)[^\n`~]*\n(.*?)(?:^[ \t]*\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)
# What a model thought before it answered: between tags, or up to one that is alone in its line.
_THOUGHTS = re.compile(r"\A(?:\s*<(think\w*)>.*?</\1>|.*^[ \t]*</think\w*>[ \t]*$)", re.MULTILINE | re.DOTALL)
_DEFINES = re.compile(r"^\s*(?:async\s+def|def|class)\s|\blambda\b", re.MULTILINE)
_BLOCKS_HINT = "of several blocks of code the first with a function was tried; put all code into one block"
# What is called of a class in place of a function.
_METHODS = re.compile(r"^\s+def (?:step|process)\(", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What source text did with a few rows.

    Attributes:
        source: the code that ran: the text without Markdown around it.
        columns: the names of the columns of `rows`: those of the sample, and the function's.
        rows: the rows of the sample, each with its result at the end; of a generator, with the list of what it
            yielded. Empty after an error.
        output: what the code printed.
        error: why it doesn't work; None if it does.
    """

    source: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    output: str
    error: TrialError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionDescription:
    """What is known of source text before a row of it runs.

    Attributes:
        source: the code: the text without Markdown around it.
        name: the function that is meant; None for a lambda, and if it isn't clear.
        kind: "row", "batch" if it takes columns, "async", "table" for a generator, "class"; None if there is none.
        parameters: (name, SQL type, whether it is required) of each. Without an annotation the type is "ANY"; if the
            code can't be loaded it is the annotation's text.
        result: the SQL type of the result, "VARIANT" if it is inferred; likewise.
        imports: the modules that it imports, except where it does without.
        missing_imports: those that the sandbox hasn't, with the reason.
        error: why it can't be loaded; None if it can.
    """

    source: str
    name: str | None
    kind: str | None
    parameters: tuple[tuple[str, str, bool], ...]
    result: str | None
    imports: tuple[str, ...]
    missing_imports: dict[str, str]
    error: TrialError | None


def code_in(text: str, entry: str | None) -> tuple[str, int]:
    """Return the code of a model's answer: the first Markdown block with the function, or all of it without blocks.

    Returns:
        The code, and the number of blocks that it might have been.
    """
    text = _THOUGHTS.sub("", text).removeprefix("\ufeff")
    blocks = [match[2] for match in _FENCED.finditer(text)]
    named = [] if entry is None else [block for block in blocks if re.search(rf"\b{re.escape(entry)}\b", block)]
    defining = [block for block in named or blocks if _DEFINES.search(block)]
    if not defining and _DEFINES.search(_FENCED.sub("", text)):
        return text, 1  # blocks inside of a docstring
    found = defining or named or blocks or [text]
    return found[0], len(found)


def tight_limits(limits: ResourceLimits) -> ResourceLimits:
    """Return the limits of trials for those of a sandbox."""

    def least(quota: HostQuota) -> HostQuota:
        return HostQuota(
            calls=min(quota.calls, _HOST.calls),
            bytes=min(quota.bytes, _HOST.bytes),
            seconds=min(quota.seconds, _HOST.seconds),
        )

    return dataclasses.replace(
        limits,
        timeout_seconds=min(limits.timeout_seconds, _TIMEOUT_SECONDS),
        memory_bytes=min(limits.memory_bytes, _MEMORY_BYTES),
        host_batch=least(limits.host_batch),
        host_function_batch=least(limits.host_function_batch),
    )


def try_source(
    domain: TrustDomain, text: str, table: Any, *, entry: str | None, limit: int, limits: ResourceLimits | None
) -> Trial:
    """Run source text on the first rows of a table: see `Sandbox.try_function`."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_ROWS:
        msg = f"limit is a number of rows from 1 to {MOST_ROWS}, got {limit!r}"
        raise ValueError(msg)
    sample = sample_of(table, limit)
    attempt = _Attempt(domain, text, entry, limits)
    attempt.sample = sample
    values = list(zip(*[column.to_pylist() for column in sample.columns], strict=True))
    results: list[Any] = []
    try:
        with IncomingCall(attempt.domain) as context:
            results = attempt.run(context, sample)
    except WasiUdfError as error:
        attempt.keep(error)
    rows = [(*row, result) for row, result in zip(values, results, strict=True)] if attempt.error is None else []
    columns = (*sample.names, attempt.name or "result")
    return Trial(source=attempt.source, columns=columns, rows=rows, output=attempt.output, error=attempt.error)


def describe_source(domain: TrustDomain, text: str, *, entry: str | None) -> FunctionDescription:
    """Describe source text: see `Sandbox.describe`."""
    attempt = _Attempt(domain, text, entry, None)
    signature = None
    try:
        with IncomingCall(attempt.domain) as context:
            function = attempt.load(context)
            signature = function.guest_signature
            function.close()  # its instance counts for the sandbox's group
    except WasiUdfError as error:
        attempt.keep(error)
    read = attempt.inspection
    parameters = tuple([(name, kind or "ANY", required) for name, kind, required in read.parameters])
    result = read.returns
    kind = read.kind
    if signature is not None:
        parameters = tuple(_described(signature))
        kind = "batch" if signature.by_batch else kind or "row"
        result = read.returns if kind == "table" else signature.return_type
    return FunctionDescription(
        source=attempt.source,
        name=attempt.name,
        kind=kind,
        parameters=parameters,
        result=result,
        imports=tuple([each.name for each in read.imports]),
        missing_imports={each.name: each.missing for each in read.imports if each.missing is not None},
        error=attempt.error,
    )


def _values(results: pa.Array) -> list[Any]:
    values: list[Any] = results.to_pylist()
    return values


def _described(signature: Signature) -> list[tuple[str, str, bool]]:
    parameters = [*signature.parameters, *([] if signature.rest is None else [signature.rest])]
    return [
        (parameter.name, "ANY" if parameter.sql_type is None else parameter.sql_type.name, i < signature.required)
        for i, parameter in enumerate(parameters)
    ]


class _Attempt:
    """One text under the limits of trials."""

    def __init__(self, domain: TrustDomain, text: str, entry: str | None, limits: ResourceLimits | None) -> None:
        if not isinstance(text, str):
            msg = f"the code is source text, got {type(text).__name__}"
            raise SignatureError(msg)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            msg = f"the code is no text in Unicode: {error}"
            raise SignatureError(msg) from error
        self.source, self._blocks = code_in(text, entry)
        self.inspection = Inspection(None, None, (), None, ())
        self.sample: Sample | None = None
        self.error: TrialError | None = None
        self._entry = entry
        self._arguments: list[int] = []
        self._printed: list[str] = []
        check_kinds(limits)
        self.domain = narrowed(domain, limits or tight_limits(domain.limits), self._printed.append)
        self._function: ScalarFunction | None = None

    @property
    def name(self) -> str | None:
        """Name of the function, if it is known."""
        return self._entry or self.inspection.name

    @property
    def output(self) -> str:
        """What the code has printed."""
        return "".join(f"{text}\n" for text in self._printed)

    def load(self, context: CallContext) -> ScalarFunction:
        """Return the function, loaded.

        Raises:
            WasiUdfError: it can't be.
        """
        self.inspection = inspect_source(context, self.domain, self.source, self._entry)
        definition = Definition.from_source(self.source, CODE_NAME, name=CODE_NAME, entry=self._entry)
        is_table = self.inspection.kind == "table"
        if is_table:
            definition = definition.wrapped("_udf_functions.inspection:listing")
        self._function = ScalarFunction(
            context,
            self.domain,
            definition,
            lambda instance: resolve(
                CODE_NAME, instance.description, self.domain.sql_type_of, return_type=VARIANT if is_table else None
            ),
        )
        return self._function

    def run(self, context: CallContext, sample: Sample) -> list[Any]:
        """Return the result for each row.

        Raises:
            WasiUdfError: there is none.
        """
        function = self.load(context)
        try:
            if self.inspection.kind == "class" and _METHODS.search(self.source):
                msg = (
                    f"{CODE_NAME}: {self.name} is a class for an aggregate or for map_batches, which can't be tried; "
                    "write a function of a row's values"
                )
                raise SignatureError(msg)
            self._arguments = arguments_of(sample, function.guest_signature)
            columns = [sample.columns[i] for i in self._arguments]
            length = len(sample.columns[0]) if sample.columns else 0
            if not length:
                function.guest_signature.bind(function.guest_signature.argument_types([each.type for each in columns]))
                return []
            if not columns:  # called once, as DuckDB calls a function without arguments
                return _values(function.run(context, [], 1)) * length
            return _values(function.run(context, columns, length))
        finally:
            function.close()

    def keep(self, error: WasiUdfError) -> None:
        """Keep what went wrong, with all that a repair needs.

        Raises:
            ArtifactError: it is no fault of the code.
        """
        if isinstance(error, ArtifactError):
            raise error
        sample = self.sample or Sample([], [], [])
        names = [sample.names[i] for i in self._arguments]
        columns = [sample.columns[i].to_pylist() for i in self._arguments]
        grants = self.domain.grants
        self.error = trial_error(
            error.with_traceback(None),
            self.source,
            names=names,
            rows=list(zip(*columns, strict=True)),
            columns=dict(zip(sample.names, sample.types, strict=True)),
            imports=self.inspection.imports,
            packages=[*(["numpy"] if artifact.NUMPY_DIRECTORY.exists() else []), *sorted(self.domain.modules.names)],
            host_functions=[] if grants is None else [granted.signature for granted in grants.functions],
            python_version=self.domain.python_version,
            output=self.output,
            hints=[_BLOCKS_HINT] if self._blocks > 1 else [],
        )
