"""The host functions that ask a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from duckdb_wasi_udf import HostFunction
from hostfuncs._options import extra
from hostfuncs._types import arrow_type, sql_type
from hostfuncs.llm._budget import Budget, BudgetSpentError
from hostfuncs.llm._schema import AnswerError, AnswerType
from hostfuncs.scaling import RateLimit, concurrent, rate_limited, retried
from hostfuncs.scaling._wrapping import check_positive, given

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Unpack

    import httpx

    from hostfuncs._options import Options

# A byte of text is never more than a token, and rarely less than a quarter.
_TOKEN_CHARACTERS = 4
_MESSAGE_TOKENS = 10


def chat(
    model: str,
    api_key: str | Callable[[], str] | None = None,
    *,
    base_url: str = "https://api.openai.com/v1",
    system: str | None = None,
    answer_type: str = "VARCHAR",
    answer_tokens: int = 500,
    prompt_characters: int = 20_000,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    budget: Budget | int = 1_000_000,
    limit: RateLimit | None = None,
    at_once: int = 8,
    attempts: int = 4,
    backoff_seconds: float = 0.5,
    request_seconds: float = 60.0,
    response_bytes: int = 2**20,
    client: Callable[[], httpx.AsyncClient] | None = None,
    **options: Unpack[Options],
) -> HostFunction:
    """Ask a language model: `chat(prompt)` gives STRUCT(answer, tokens BIGINT, error VARCHAR).

    Each row is a request to `/chat/completions`. What goes wrong with one is a text in `error`, of words of this
    package alone: neither the key nor what the service says reaches the guest; the latter is logged. A NULL prompt
    gives NULL.

    Args:
        model: the name of the model.
        api_key: sent to the service in the header `Authorization`, or a function that returns it; None for none.
        base_url: the address of the service, up to `/chat/completions`.
        system: what the model is asked in the guest's place before each prompt.
        answer_type: "VARCHAR" for the text of the answer; or another SQL type, such as "STRUCT(topic VARCHAR, score
            DOUBLE)", for which the service is asked for JSON of that form; an answer that isn't is asked for again.
        answer_tokens: the most tokens of an answer, sent as `max_tokens`.
        prompt_characters: the longest prompt that is sent.
        body: further members of the request, such as {"temperature": 0}; None leaves a member out.
        headers: further headers of the request.
        budget: tokens that may be spent in all, or a `Budget` that is shared with other functions.
        limit: the calls and tokens a minute.
        at_once: the number of requests at a time.
        attempts: the number of requests for an answer, when the service is busy (408, 409, 425, 429, 500 to 504, 529),
            can't be reached, or answers with what wasn't asked for.
        backoff_seconds: the pause before the second one, doubled for each further one, with jitter; a longer one that
            the service asks for is kept.
        request_seconds: the longest time for a request.
        response_bytes: how large the answer to a request may be.
        client: makes the HTTP client, for proxies or certificates of your own.
        **options: see `hostfuncs.Options`.

    Returns:
        A batched host function of one parameter.

    Raises:
        ImportError: the extra `llm` is not installed.
        ValueError: a number isn't positive, `base_url` is no address, or JSON has nothing for `answer_type`.
    """
    with extra("llm"):
        from hostfuncs.llm._endpoint import BusyError, Endpoint, ServiceError
    check_positive(answer_tokens=answer_tokens, prompt_characters=prompt_characters)
    check_positive(request_seconds=request_seconds, response_bytes=response_bytes)
    name = sql_type(answer_type)
    answers = AnswerType(name, arrow_type(answer_type))
    endpoint = Endpoint(
        base_url,
        api_key,
        headers=headers or {},
        client=client,
        request_seconds=request_seconds,
        response_bytes=response_bytes,
        budget=budget if isinstance(budget, Budget) else Budget(budget),
    )
    before = [] if system is None else [{"role": "system", "content": system}]

    def tokens(prompt: str | None) -> int:
        return answer_tokens + _estimated(system or "") + _estimated(prompt or "") + _MESSAGE_TOKENS

    async def chat(prompt: str | None) -> dict[str, Any] | None:
        """Ask a language model: its answer, or what went wrong."""
        if prompt is None:
            return None
        if len(prompt) > prompt_characters:
            return _failed(f"the prompt has more than {prompt_characters:,} characters")
        request = {
            "model": model,
            "messages": [*before, {"role": "user", "content": prompt}],
            "max_tokens": answer_tokens,
            "response_format": answers.response_format,
            **(body or {}),
        }
        request = {member: value for member, value in request.items() if value is not None}
        try:
            answered = await endpoint.post("/chat/completions", request, tokens(prompt))
        except BusyError:
            raise
        except (ServiceError, BudgetSpentError) as error:
            return _failed(str(error))
        return _chosen(answered, answers, is_text=name == "VARCHAR")

    function = HostFunction(
        chat,
        parameters=["VARCHAR"],
        return_type=f"STRUCT(answer {name}, tokens BIGINT, error VARCHAR)",
        batched=False,
        **options,
    )
    if limit is not None:
        function = rate_limited(function, limit=limit, tokens=tokens)
    function = retried(
        function,
        attempts,
        backoff_seconds=backoff_seconds,
        most_seconds=attempts * (request_seconds + 60.0),
        on=(BusyError, AnswerError),
        errors=lambda error: _failed(str(error)),
    )
    return concurrent(function, at_once)


def _estimated(text: str) -> int:
    """Return about the tokens of a text, rather too many."""
    return len(text.encode()) // _TOKEN_CHARACTERS + 1


def _failed(error: str) -> dict[str, Any]:
    return {"answer": None, "tokens": None, "error": error}


def _chosen(answered: dict[str, Any], answers: AnswerType, *, is_text: bool) -> dict[str, Any]:
    """Return the result of an answer.

    Raises:
        AnswerError: it has none, or one of another form.
    """
    usage = answered.get("usage")
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    try:
        choice = answered["choices"][0]
        message = choice["message"]
        content, refusal, reason = message.get("content"), message.get("refusal"), choice.get("finish_reason")
    except (LookupError, TypeError, AttributeError) as error:
        msg = "the service answered without a choice"
        raise AnswerError(msg) from error
    if refusal:
        return _failed("the model refused to answer")
    if not isinstance(content, str):
        msg = "the service answered without text"
        raise AnswerError(msg)
    cut_off = "the answer was cut off at its most tokens" if reason == "length" else None
    if cut_off is not None and not is_text:
        return _failed(cut_off)
    return {"answer": answers.read(content), "tokens": tokens if type(tokens) is int else None, "error": cut_off}


def embed(
    model: str,
    api_key: str | Callable[[], str] | None = None,
    *,
    base_url: str = "https://api.openai.com/v1",
    dimensions: int | None = None,
    rows: int = 64,
    text_characters: int = 20_000,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    budget: Budget | int = 10_000_000,
    limit: RateLimit | None = None,
    at_once: int = 4,
    attempts: int = 4,
    backoff_seconds: float = 0.5,
    request_seconds: float = 60.0,
    response_bytes: int = 16 * 2**20,
    errors: Literal["raise", "null"] = "raise",
    client: Callable[[], httpx.AsyncClient] | None = None,
    **options: Unpack[Options],
) -> HostFunction:
    """Ask a service for the vectors of texts: `embed(text)` gives FLOAT[], or FLOAT[n] for `dimensions`.

    Args:
        model: the name of the model.
        api_key: as for `chat`.
        base_url: the address of the service, up to `/embeddings`.
        dimensions: the length of the vectors, sent to the service; None for whatever it is.
        rows: the number of texts in a request.
        text_characters: the longest text that is sent.
        body: as for `chat`, like all that aren't listed here.
        headers: likewise.
        budget: likewise.
        limit: likewise.
        at_once: likewise.
        attempts: likewise.
        backoff_seconds: likewise.
        request_seconds: likewise.
        response_bytes: likewise.
        errors: "raise" fails the call when no attempt is left, "null" makes the rows of the request NULL.
        client: as for `chat`.
        **options: see `hostfuncs.Options`.

    Returns:
        A batched host function of one parameter. NULL gives NULL.

    Raises:
        ImportError: the extra `llm` is not installed.
        ValueError: a number isn't positive, or `base_url` is no address.
    """
    with extra("llm"):
        from hostfuncs.llm._endpoint import BusyError, Endpoint, ServiceError
    check_positive(**given(dimensions=dimensions), text_characters=text_characters)
    check_positive(request_seconds=request_seconds, response_bytes=response_bytes)
    endpoint = Endpoint(
        base_url,
        api_key,
        headers=headers or {},
        client=client,
        request_seconds=request_seconds,
        response_bytes=response_bytes,
        budget=budget if isinstance(budget, Budget) else Budget(budget),
    )

    async def embed(text: pa.Array) -> pa.Array:
        """Return the vector of a text."""
        texts = text.to_pylist()
        asked = [one for one in texts if one is not None]
        if not asked:
            return pa.nulls(len(texts))
        if max(map(len, asked)) > text_characters:
            msg = f"a text has more than {text_characters:,} characters"
            raise ValueError(msg)
        request = {"model": model, "input": asked, "encoding_format": "float", "dimensions": dimensions, **(body or {})}
        request = {member: value for member, value in request.items() if value is not None}
        answered = await endpoint.post("/embeddings", request, sum(map(_estimated, asked)))
        vectors = iter(_vectors(answered, len(asked), dimensions))
        return pa.array([None if one is None else next(vectors) for one in texts], pa.list_(pa.float32()))

    function = HostFunction(
        embed,
        parameters=["VARCHAR"],
        return_type="FLOAT[]" if dimensions is None else f"FLOAT[{dimensions}]",
        batched=True,
        **options,
    )
    if limit is not None:
        function = rate_limited(function, limit=limit)
    on: tuple[type[Exception], ...] = (BusyError, AnswerError)
    if errors == "null":
        on = (*on, ServiceError, BudgetSpentError, ValueError)
    function = retried(
        function,
        attempts,
        backoff_seconds=backoff_seconds,
        most_seconds=attempts * (request_seconds + 60.0),
        on=on,
        errors=errors,
    )
    return concurrent(function, at_once, rows=rows)


def _vectors(answered: dict[str, Any], count: int, dimensions: int | None) -> Sequence[Sequence[float]]:
    """Return the vectors of an answer in the order of the texts.

    Raises:
        AnswerError: they aren't what was asked for.
    """
    try:
        found = {item["index"]: item["embedding"] for item in answered["data"]}
        vectors = [found[i] for i in range(count)]
        pa.array(vectors, pa.list_(pa.float32()))
        lengths = {len(vector) for vector in vectors}
    except (LookupError, TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        msg = "the service answered without a vector for each text"
        raise AnswerError(msg) from error
    if len(lengths) != 1 or 0 in lengths or (dimensions is not None and lengths != {dimensions}):
        msg = "the service answered with vectors of another length"
        raise AnswerError(msg)
    return vectors
