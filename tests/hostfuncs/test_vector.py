"""Vectors of texts, and nearest neighbours: compared with plain Python over all pairs."""

import math
import random
import threading
from pathlib import Path

import duckdb
import numpy as np
import pytest

import duckdb_wasi_udf as wasi_udf
from hostfuncs import vector


def hashed(texts):
    """Vectors of letters: no model, but alike for texts that are."""
    return [[text.count(letter) + 0.25 for letter in "aeiou"] for text in texts]


def cosine(a, b):
    return 1 - sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


DISTANCES = {
    "cosine": cosine,
    "l2": math.dist,
    "inner_product": lambda a, b: -sum(x * y for x, y in zip(a, b, strict=True)),
}


@pytest.fixture
def documents(con):
    chance = random.Random(5)
    con.execute("CREATE TABLE documents (id INTEGER, title VARCHAR, v FLOAT[5], l DOUBLE[])")
    rows = [(i, f"t{i}", [chance.uniform(-1, 1) for _ in range(5)]) for i in range(300)]
    rows.append((300, "none", None))
    columns = "unnest($1) AS id, unnest($2) AS title, unnest($3) AS v"
    con.execute(f"INSERT INTO documents SELECT id, title, v, v FROM (SELECT {columns})", list(zip(*rows, strict=True)))
    con.execute("INSERT INTO documents VALUES (301, 'short', NULL, [1, 2])")
    return [(i, title, np.array(v, np.float32).tolist()) for i, title, v in rows[:300]]


@pytest.mark.parametrize("column", ["v", "l"])
@pytest.mark.parametrize("metric", DISTANCES)
def test_neighbours_are_those_of_all_pairs(con, documents, metric, column):
    function = vector.nearest(con, "FROM documents", column, ["id", "title"], metric=metric, neighbours=7)
    chance = random.Random(7)
    asked = [None if i % 6 == 5 else [chance.uniform(-1, 1) for _ in range(5)] for i in range(40)]
    found = wasi_udf.ColumnFunction(function)(asked).to_pylist()
    for query, neighbours in zip(asked, found, strict=True):
        if query is None:
            assert neighbours is None
            continue
        exact = sorted((DISTANCES[metric](query, v), i, title) for i, title, v in documents)[:7]
        assert [(one["id"], one["title"]) for one in neighbours] == [(i, title) for _, i, title in exact]
        assert [one["distance"] for one in neighbours] == pytest.approx([d for d, *_ in exact], abs=1e-5)


def test_neighbours_can_have_a_most_distance(con, documents):
    function = wasi_udf.ColumnFunction(
        vector.nearest(
            con,
            "SELECT id, v, id AS i, 1 AS d, 2 AS q, 3 AS t FROM documents WHERE id < 50",
            "v",
            ["id", "d", "t"],
            most_distance=0.0001,
            neighbours=3,
        )
    )
    exact, far = documents[7][2], [0.0, 0.0, 0.0, 0.0, 1e-9]
    (first, second) = function([exact, far]).to_pylist()
    assert [one["id"] for one in first] == [7]
    assert second == []
    assert function([]).to_pylist() == []
    assert function([None]).to_pylist() == [None]


def test_a_guest_finds_neighbours_of_texts(con):
    texts = ["an apple", "a banana", "tiger", "lion", None]
    embed = vector.embed(hashed, 5)
    con.execute("CREATE TABLE animals (text VARCHAR, v FLOAT[5])")
    rows = [(text, v) for text, v in zip(texts, wasi_udf.ColumnFunction(embed)(texts).to_pylist(), strict=True)]
    con.executemany("INSERT INTO animals VALUES (?, ?)", rows)
    near = vector.nearest(con, "FROM animals", "v", "text", neighbours=1)
    with wasi_udf.Sandbox(host_functions=[embed, near]).install(con):
        code = """
            import host
            async def f(text: str) -> str:
                (one,) = await host.nearest(await host.embed(text))
                return one["text"]
        """
        con.execute("CREATE TABLE q AS SELECT unnest(['aaa', 'banana', 'ii', NULL]) AS t")
        rows = con.execute("SELECT py_udf_varchar($1, t) FROM q", [code]).fetchall()
    expected = [
        None if t is None else min(texts[:4], key=lambda one: cosine(hashed([t])[0], hashed([one])[0]))
        for t in ["aaa", "banana", "ii", None]
    ]
    assert rows == [(one,) for one in expected]


def test_a_file_is_searched_too(tmp_path):
    path = tmp_path / "x.db"
    with duckdb.connect(path) as con:
        con.execute('CREATE TABLE "odd name" AS SELECT 1 AS "the id", [1.0, 0.0]::FLOAT[2] AS "v""v"')
    function = wasi_udf.ColumnFunction(vector.nearest(path, 'FROM "odd name"', 'v"v', "the id"))
    assert function([[1.0, 0.0]]).to_pylist() == [[{"the id": 1, "distance": 0.0}]]


def test_many_threads_search_at_once(con, documents):
    function = wasi_udf.ColumnFunction(vector.nearest(con, "FROM documents", "v", "id", neighbours=1))
    failures = []

    def search(number):
        if function([documents[number][2]]).to_pylist()[0][0]["id"] != number:
            failures.append(number)

    threads = [threading.Thread(target=search, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("FROM documents; DROP TABLE documents", "v", "id"), {}, ValueError, "one query"),
        (("DROP TABLE documents", "v", "id"), {}, ValueError, "one query"),
        (("FROM documents", "w", "id"), {}, ValueError, "no column w"),
        (("FROM documents", "v", ["id", "x"]), {}, ValueError, "no column x"),
        (("SELECT *, 1 AS Distance FROM documents", "v", "Distance"), {}, ValueError, "a distance of its own"),
        (("FROM documents", "title", "id"), {}, TypeError, "not one of vectors"),
        (("FROM documents", "v", "id"), {"metric": "near"}, ValueError, "metric must be"),
        (("FROM documents", "v", "id"), {"neighbours": 0}, ValueError, "neighbours must be"),
    ],
)
def test_searches_that_mean_nothing_are_refused(con, documents, arguments, options, error, message):
    with pytest.raises(error, match=message):
        vector.nearest(con, *arguments, **options)


def test_a_vector_of_another_length_is_refused(con, documents):
    with pytest.raises(ValueError, match="a vector of 2 numbers"):
        wasi_udf.ColumnFunction(vector.nearest(con, "FROM documents", "v", "id"))([[1.0, 2.0]])


@pytest.mark.parametrize("column", ["v", "l"])
def test_what_has_no_distance_is_no_neighbour(con, documents, column):
    con.execute("INSERT INTO documents VALUES (302, 'zero', [0, 0, 0, 0, 0], [0, 0, 0, 0, 0])")
    call = wasi_udf.ColumnFunction(vector.nearest(con, "FROM documents", column, "id", neighbours=1000))
    whole, zeros, unknown = call([[1.0] * 5, [0.0] * 5, [math.nan] * 5]).to_pylist()
    assert sorted(one["id"] for one in whole) == list(range(300))
    assert zeros == unknown == []
    with pytest.raises(ValueError, match="a vector with NULL among its numbers"):
        call([[1.0, None, 0.0, 0.0, 0.0]])
    assert len(call([documents[0][2]]).to_pylist()[0]) == 300


# ---- embed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encode", [hashed, lambda texts: np.array(hashed(texts)), lambda texts: map(np.array, hashed(texts))]
)
@pytest.mark.parametrize("dimensions", [None, 5])
@pytest.mark.parametrize("rows", [0, 1, 2049])
def test_vectors_are_those_of_the_model(encode, dimensions, rows):
    texts = [None if i % 10 == 3 else f"text {i % 100} ü" for i in range(rows)]
    found = wasi_udf.ColumnFunction(vector.embed(encode, dimensions, rows=30))(texts).to_pylist()
    assert found == [None if text is None else hashed([text])[0] for text in texts]


def test_each_text_of_a_batch_is_encoded_once():
    asked = []

    def encode(texts):
        asked.append(texts)
        return hashed(texts)

    wasi_udf.ColumnFunction(vector.embed(encode, rows=2))(["a", "b", "a", None, "c", "b"])
    assert asked == [["a", "b"], ["c"]]


def test_a_small_model_of_a_package_finds_what_is_meant(con):
    """The one that docs/guide/ready-made.md names."""
    wordllama = pytest.importorskip("wordllama", reason="wordllama is not installed: pip install wordllama")
    folder = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    call = wasi_udf.ColumnFunction(vector.embed(model.embed, 256))
    texts = ["a glass of Chianti", "green tea", "the goalkeeper was injured"]
    con.execute("CREATE TABLE texts (t VARCHAR, v FLOAT[256])")
    con.executemany("INSERT INTO texts VALUES (?, ?)", list(zip(texts, call(texts).to_pylist(), strict=True)))
    nearest = wasi_udf.ColumnFunction(vector.nearest(con, "FROM texts", "v", "t", neighbours=1))
    found = nearest(call(["soccer player", "tea with milk", "red wine"])).to_pylist()
    assert [one["t"] for (one,) in found] == [texts[2], texts[1], texts[0]]


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (lambda texts: [], "0 vectors"),
        (lambda texts: None, "the model returned None, which is no vector for each of 2 texts"),
        (lambda texts: [[1.0]], "1 vectors of the length"),
        (lambda texts: [[1.0], [1.0, 2.0]], "length"),
        (lambda texts: [[1.0], [2.0]], "3 is their length"),
    ],
)
def test_vectors_of_another_form_are_refused(encode, message):
    with pytest.raises(ValueError, match=message):
        wasi_udf.ColumnFunction(vector.embed(encode, 3))(["a", "b"])


def test_settings_of_a_model_are_checked():
    with pytest.raises(TypeError, match="encode is a function"):
        vector.embed("model")
    with pytest.raises(ValueError, match="dimensions must be"):
        vector.embed(hashed, 0)
    with pytest.raises(ValueError, match="more than 5 characters"):
        wasi_udf.ColumnFunction(vector.embed(hashed, text_characters=5))(["123456"])


def test_one_thread_is_in_the_model_at_a_time():
    running, most = [], []

    def encode(texts):
        running.append(1)
        most.append(len(running))
        running.pop()
        return hashed(texts)

    call = wasi_udf.ColumnFunction(vector.embed(encode, rows=1))
    threads = [threading.Thread(target=call, args=[[f"a{i}" for i in range(50)]]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
