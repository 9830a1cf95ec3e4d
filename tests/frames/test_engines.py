"""The functions in other engines: real ones where they are installed, with workers in processes of their own."""

import gzip
import os
import re
import signal
import subprocess
import sys

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import GuestError, LimitExceeded, SignatureError, WasiUdfError, engines
from tests.frames import rates

ROWS = 20_000
CODE = (
    "def gross(net: float, country: str = 'DE') -> float:\n    return round(net * {'DE': 1.19, 'FR': 1.2}[country], 2)"
)
MISSING = "pip install {}, or run make test-engines"


@pytest.fixture(scope="module")
def gross():
    return wasi_udf.batch_function(CODE)


@pytest.fixture(scope="module")
def table():
    return pa.table({
        "id": pa.array(range(ROWS), pa.int64()),
        "net": [None if i % 11 == 0 else i / 7 for i in range(ROWS)],
        "country": [("DE", "FR")[i % 2] for i in range(ROWS)],
    })  # fmt: skip


@pytest.fixture(scope="module")
def expected(table):
    rates = {"DE": 1.19, "FR": 1.2}
    rows = zip(table["id"].to_pylist(), table["net"].to_pylist(), table["country"].to_pylist(), strict=True)
    return {i: None if net is None else round(net * rates[country], 2) for i, net, country in rows}


def by_id(rows):
    return dict(zip(rows["id"], rows["gross"], strict=True))


TWICE = """
def part(id: int, net: float) -> Iterator[tuple[int, float]]:
    if id % 3 == 0:
        for number in range(id % 4):
            yield number, net / 2
"""


@pytest.fixture(scope="module")
def twice():
    return wasi_udf.batch_function(TWICE, {"number": "INTEGER", "half": "DOUBLE"}, rows="any")


@pytest.fixture(scope="module")
def parts(table):
    """What `twice` makes, as plain Python does."""
    rows = zip(table["id"].to_pylist(), table["net"].to_pylist(), table["country"].to_pylist(), strict=True)
    return [
        (i, country, number, net / 2)
        for i, net, country in rows
        if i % 3 == 0 and net is not None
        for number in range(i % 4)
    ]


def part_rows(table):
    columns = [table[name].to_pylist() for name in ("id", "country", "number", "half")]
    return sorted(zip(*columns, strict=True))


# ---- Polars --------------------------------------------------------------------------------------------------------


def test_polars_expressions(gross, table, expected):
    pl = pytest.importorskip("polars", reason=MISSING.format("polars"))
    frame = pl.from_arrow(table)
    for made in (frame, frame.lazy()):
        result = made.with_columns(engines.polars_expr(gross, "net", pl.col("country").str.to_uppercase()))
        assert by_id(result.lazy().collect().to_dict(as_series=False)) == expected
    constant = frame.select("id", engines.polars_expr(gross, "net", pl.lit("FR"))).head(3)
    assert constant["gross"].to_list() == [None, round(1 / 7 * 1.2, 2), round(2 / 7 * 1.2, 2)]
    grouped = frame.group_by("country").agg(engines.polars_expr(gross, pl.col("net").max(), pl.col("country").first()))
    most = {"DE": 19_996, "FR": 19_999}
    assert dict(grouped.iter_rows()) == {land: expected[i] for land, i in most.items()}  # a value for each, no list
    streamed = frame.lazy().select("id", engines.polars_expr(gross, "net", "country")).collect(engine="streaming")
    assert by_id(streamed.to_dict(as_series=False)) == expected
    with pytest.raises(SignatureError, match="3 column"):
        engines.polars_expr(gross, "a", "b", "c")
    with pytest.raises(SignatureError, match="any number of rows"):
        engines.polars_expr(wasi_udf.batch_function("lambda x: [x]", {"a": "INT"}, rows="any"), "x")
    with pytest.raises(SignatureError, match="adds 2 columns"):
        engines.polars_expr(wasi_udf.batch_function("lambda x: (x, x)", {"a": "INT", "b": "INT"}), "x")


# ---- files ---------------------------------------------------------------------------------------------------------


def test_files_in_files_out(gross, table, expected, tmp_path):
    pyarrow.dataset.write_dataset(
        table, tmp_path / "in", format="parquet", max_rows_per_file=7000, max_rows_per_group=7000
    )
    assert engines.map_files(gross, tmp_path / "in", tmp_path / "out.parquet") == ROWS
    result = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert result.column_names == ["id", "net", "country", "gross"]
    assert by_id(result.to_pydict()) == expected
    pyarrow.csv.write_csv(table.slice(0, 100), tmp_path / "some.csv")
    assert engines.map_files(gross, str(tmp_path / "some.csv"), tmp_path / "out.parquet") == 100
    assert by_id(pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pydict()) == {
        i: expected[i] for i in range(100)
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.parquet", "some.csv"]


def test_files_with_other_rows_out(twice, table, parts, tmp_path):
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet", row_group_size=3000)
    assert engines.map_files(twice, tmp_path / "in.parquet", tmp_path / "out.parquet") == len(parts)
    assert part_rows(pyarrow.parquet.read_table(tmp_path / "out.parquet")) == parts


def test_failures_leave_no_file_and_name_theirs(gross, table, tmp_path):
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    bad = table.slice(0, 3000).set_column(2, "country", pa.array(["DE"] * 2999 + ["XX"]))
    pyarrow.parquet.write_table(bad, tmp_path / "b.parquet")
    files = [str(tmp_path / name) for name in ("a.parquet", "b.parquet")]
    with pytest.raises(GuestError, match="KeyError: 'XX'") as caught:
        engines.map_files(gross, files, tmp_path / "out.parquet")
    assert caught.value.__notes__ == ["in the batch that begins with row 0", f"in {files[1]}"]
    pyarrow.parquet.write_table(table.drop_columns("net"), tmp_path / "c.parquet")
    (tmp_path / "d.parquet").write_text("no such thing")
    for name, message in (("c", "no column 'net'"), ("d", "can't be read"), ("gone", "gone.parquet.*can't be read")):
        with pytest.raises(SignatureError, match=message):
            engines.map_files(gross, tmp_path / f"{name}.parquet", tmp_path / "out.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.parquet" for name in "abcd"]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns("net"), "b.{kind}: there is no column 'net', which .*a.{kind} has"),
        (lambda t: t.append_column("x", t["id"]), "a.{kind}: there is no column 'x', which .*b.{kind} has"),
        (lambda t: t.rename_columns(["id", "Net", "country"]), "b.{kind}: there is no column 'net'"),
        (lambda t: t.set_column(1, "net", pa.array(["ten"] * len(t))), "b.{kind}: the file can't be read"),
    ],
)
def test_files_of_other_columns_are_refused(gross, table, tmp_path, kind, change, message):
    write = pyarrow.parquet.write_table if kind == "parquet" else pyarrow.csv.write_csv
    (tmp_path / "in").mkdir()
    write(table.slice(0, 50), tmp_path / "in" / f"a.{kind}")
    write(change(table.slice(50, 50)), tmp_path / "in" / f"b.{kind}")
    for source in (tmp_path / "in", [str(tmp_path / "in" / f"{name}.{kind}") for name in "ab"]):
        with pytest.raises(SignatureError, match=message.format(kind=kind)):
            engines.map_files(gross, source, tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_files_of_other_types_that_fit_are_cast(gross, table, expected, tmp_path):
    (tmp_path / "in").mkdir()
    pyarrow.parquet.write_table(table.slice(0, 0), tmp_path / "in" / "a.parquet")  # an empty one
    some = table.slice(0, 100).set_column(0, "id", pa.array(range(100), pa.int16()))
    pyarrow.parquet.write_table(some.select(["country", "net", "id"]), tmp_path / "in" / "b.parquet")
    assert engines.map_files(gross, tmp_path / "in", tmp_path / "out.parquet") == 100
    result = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert result.schema.field("id").type == pa.int64()
    assert by_id(result.to_pydict()) == {i: expected[i] for i in range(100)}


def test_columns_of_partitioned_folders_are_read(table, tmp_path):
    code = "def label(id: int, country: str, year: int) -> str: return f'{id} {country} {year}'"
    label = wasi_udf.batch_function(code)
    some = table.slice(0, 50).append_column("year", pa.array([2025 + i % 2 for i in range(50)]))
    folders = pyarrow.dataset.partitioning(pa.schema([("year", pa.int64()), ("country", pa.string())]), flavor="hive")
    pyarrow.dataset.write_dataset(some, tmp_path / "in", format="parquet", partitioning=folders)
    expected = sorted(f"{i} {country} {year}" for i, country, year in zip(*(some[n].to_pylist() for n in (
        "id", "country", "year")), strict=True))  # fmt: skip
    files = [str(path) for path in sorted((tmp_path / "in").rglob("*.parquet"))]
    for source in (tmp_path / "in", files):
        assert engines.map_files(label, source, tmp_path / "out.parquet") == 50
        made = pyarrow.parquet.read_table(tmp_path / "out.parquet")
        assert set(made.column_names) == {"id", "net", "year", "country", "label"}
        assert sorted(made["label"].to_pylist()) == expected
    pyarrow.parquet.write_table(some.slice(0, 1).select(["id", "net"]), tmp_path / "in" / "z.parquet")
    with pytest.raises(SignatureError, match=r"z.parquet: there is no column '(year|country)', which"):
        engines.map_files(label, tmp_path / "in", tmp_path / "out.parquet")


def test_formats_are_known_by_the_names_of_files(gross, tmp_path):
    written = {
        "a.tsv": b"net\tcountry\n1.0\tFR\n",
        "A.CSV": b"net,country\n1.0,FR\n",
        "b.csv.gz": gzip.compress(b"net,country\n1.0,FR\n"),
        "c.jsonl": b'{"net": 1.0, "country": "FR"}\n',
    }
    for name, data in written.items():
        (tmp_path / name).write_bytes(data)
        assert engines.map_files(gross, tmp_path / name, tmp_path / "out.parquet") == 1
        assert pyarrow.parquet.read_table(tmp_path / "out.parquet")["gross"].to_pylist() == [1.2]
    folder = tmp_path / "spark"
    (folder / "_temporary").mkdir(parents=True)
    for name in ("_SUCCESS", ".part.csv.crc", "_temporary/x.parquet"):
        (folder / name).write_text("of no table")
    (folder / "part-0.csv").write_bytes(written["A.CSV"])
    assert engines.map_files(gross, folder, tmp_path / "out.parquet") == 1
    with pytest.raises(
        SignatureError, match=r"\*.csv: the file can't be read, since it isn't there; \* and \? stand for"
    ):
        engines.map_files(gross, str(tmp_path / "*.csv"), tmp_path / "out.parquet")


def test_no_files_and_wrong_places_are_refused(gross, table, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "in").mkdir()
    pyarrow.parquet.write_table(table, tmp_path / "in" / "a.parquet")
    for source in (tmp_path / "empty", []):
        with pytest.raises(SignatureError, match="there are no files to read"):
            engines.map_files(gross, source, tmp_path / "out.parquet")
    with pytest.raises(SignatureError, match="out.parquet can't be written"):
        engines.map_files(gross, tmp_path / "in", tmp_path / "no" / "such" / "out.parquet")
    for source in (tmp_path / "in", [str(tmp_path / "in" / "a.parquet")]):
        with pytest.raises(SignatureError, match="is among the files that are read"):
            engines.map_files(gross, source, tmp_path / "in" / "a.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "in" / "a.parquet").equals(table)


def test_a_limit_in_one_file_names_it_and_the_row(table, tmp_path, monkeypatch):
    monkeypatch.delenv("DUCKDB_WASI_UDF_COMPILED", raising=False)  # compiled code doesn't know where it is
    code = "def f(id: int) -> int:\n    while id == 7000: pass\n    return id"
    slow = wasi_udf.batch_function(code, limits=wasi_udf.ResourceLimits(timeout_seconds=0.3))
    pyarrow.dataset.write_dataset(
        table, tmp_path / "in", format="parquet", max_rows_per_file=5000, max_rows_per_group=5000
    )
    (tmp_path / "out.parquet").write_text("an earlier result")
    with pytest.raises(LimitExceeded, match="f: stopped after timeout_seconds=0.3") as caught:
        engines.map_files(slow, tmp_path / "in", tmp_path / "out.parquet")
    assert caught.value.line == 2
    assert caught.value.__notes__[0] == "in the batch that begins with row 0"
    assert caught.value.__notes__[1].endswith("part-1.parquet")
    assert caught.value.row == 2000
    assert (tmp_path / "out.parquet").read_text() == "an earlier result"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_process_that_dies_leaves_no_file_that_looks_whole(gross, table, expected, tmp_path):
    for number in range(3):
        pyarrow.parquet.write_table(table.slice(number * 5000, 5000), tmp_path / f"in{number}.parquet")
    code = """
import sys, duckdb_wasi_udf as wasi_udf, duckdb_wasi_udf.engines
text = "import host\\ndef f(id: int) -> int:\\n    if id == 12_000: host.die(id)\\n    return id"
function = wasi_udf.batch_function(text, host_functions=["tests.frames.rates:die"])
wasi_udf.engines.map_files(function, sys.argv[2:], sys.argv[1])
"""
    target = tmp_path / "out" / "all.parquet"
    target.parent.mkdir()
    files = [str(path) for path in sorted(tmp_path.glob("in*"))]
    died = subprocess.run([sys.executable, "-c", code, str(target), *files], check=False, timeout=100)
    assert died.returncode == rates.STATUS
    assert not target.exists()
    assert all(path.name.startswith(".") for path in target.parent.iterdir())  # which engines don't read
    assert engines.map_files(gross, files, target) == 15_000
    assert by_id(pyarrow.dataset.dataset(target.parent).to_table().to_pydict()) == {
        i: expected[i] for i in range(15_000)
    }


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size to stand for a full disk")
@pytest.mark.parametrize("most_bytes", [0, 10_000, 150_000], ids=["at once", "in the middle", "later"])
def test_a_full_disk_is_named_and_leaves_nothing(gross, table, tmp_path, most_bytes):
    import resource  # noqa: PLC0415 - Windows has none

    pyarrow.parquet.write_table(table, tmp_path / "in.parquet", row_group_size=5000)
    target = tmp_path / "out.parquet"
    target.write_text("an earlier result")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        with pytest.raises(SignatureError, match="out.parquet can't be written"):
            engines.map_files(gross, tmp_path / "in.parquet", target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert target.read_text() == "an earlier result"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "out.parquet"]
    assert engines.map_files(gross, tmp_path / "in.parquet", target) == ROWS


def test_an_engine_that_is_missing_is_named(gross, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(WasiUdfError, match="pyspark is not installed: pip install pyspark"):
        engines.spark_map_in_arrow(None, gross)


# ---- Ray -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray", reason=MISSING.format("'ray[data]'"))
    pytest.importorskip("ray.data", reason=MISSING.format("'ray[data]'"))
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("pool", [False, True], ids=["tasks", "actors"])
def test_ray(ray, gross, table, expected, pool):
    data = ray.data.from_arrow(table).repartition(8)
    options = {"compute": ray.data.ActorPoolStrategy(size=2)} if pool else {}
    result = data.map_batches(engines.ray_actor(gross) if pool else gross, batch_format="pyarrow", **options)
    assert by_id(pa.concat_tables(ray.get(result.to_arrow_refs())).to_pydict()) == expected


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_ray_with_other_rows(ray, twice, table, parts):
    result = ray.data.from_arrow(table).repartition(8).map_batches(twice, batch_format="pyarrow")
    made = [piece for piece in ray.get(result.to_arrow_refs()) if piece.num_rows]
    assert part_rows(pa.concat_tables(made)) == parts


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_ray_with_a_worker_that_dies(ray, gross, table, expected, tmp_path):
    marker = str(tmp_path / "died")

    def once_fatal(batch):
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return gross(batch)
        return os.kill(os.getpid(), signal.SIGKILL)

    result = ray.data.from_arrow(table).repartition(8).map_batches(once_fatal, batch_format="pyarrow")
    assert by_id(pa.concat_tables(ray.get(result.to_arrow_refs())).to_pydict()) == expected


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_ray_with_empty_partitions(ray, gross, table, expected):
    few = ray.data.from_arrow(table).repartition(8).filter(lambda row: row["id"] < 5)
    rows = few.map_batches(gross, batch_format="pyarrow").take_all()
    assert {row["id"]: row["gross"] for row in rows} == {i: expected[i] for i in range(5)}


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_ray_with_a_limit_in_one_partition(ray, table):
    code = "def endless(id: int) -> int:\n    while id == 15_000: pass\n    return id"
    slow = wasi_udf.batch_function(code, limits=wasi_udf.ResourceLimits(timeout_seconds=0.5))
    data = ray.data.from_arrow(table).repartition(8)
    with pytest.raises(Exception, match=r"endless: stopped after timeout_seconds=0.5[\s\S]*in row \d+"):
        data.map_batches(slow, batch_format="pyarrow").materialize()


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_ray_shows_the_guests_error(ray, table):
    bad = wasi_udf.batch_function("def f(id: int) -> float: return 1 / (id - 19_999)")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        ray.data.from_arrow(table).map_batches(bad, batch_format="pyarrow").materialize()


# ---- Spark ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spark():
    sql = pytest.importorskip("pyspark.sql", reason=MISSING.format("pyspark"))
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config(
            "spark.driver.host", "127.0.0.1").config("spark.log.level", "OFF").getOrCreate()
    )  # fmt: skip
    yield session
    session.stop()


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_spark_with_other_rows(spark, twice, table, parts):
    mapped = engines.spark_map_in_arrow(spark.createDataFrame(table).repartition(4), twice)
    assert part_rows(mapped.toArrow()) == parts
    with pytest.raises(SignatureError, match="any number of rows"):
        engines.spark_udf(spark, "part", twice)


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_spark_names_function_partition_and_row(spark, gross, table):
    frame = spark.createDataFrame(table).repartition(4)
    inverse = wasi_udf.batch_function("def inverse(id: int) -> float: return 1 / (id - 15_000)")
    slow = wasi_udf.batch_function(
        "def endless(id: int) -> int:\n    while id == 15_000: pass\n    return id",
        limits=wasi_udf.ResourceLimits(timeout_seconds=0.5),
    )
    for function, message in (
        (inverse, "inverse: ZeroDivisionError"),
        (slow, "endless: stopped after timeout_seconds"),
    ):
        with pytest.raises(Exception, match=message) as caught:
            engines.spark_map_in_arrow(frame, function).count()
        assert re.search(
            r"in row \d+[\s\S]*in the batch that begins with row 0\n.*in partition [0-3] of Spark", str(caught.value)
        )
    engines.spark_udf(spark, "inverse", inverse)
    frame.createOrReplaceTempView("numbers")
    with pytest.raises(Exception, match=r"inverse: ZeroDivisionError[\s\S]*in partition \d+ of Spark"):
        spark.sql("SELECT inverse(id) FROM numbers").collect()
    with pytest.raises(SignatureError, match="no column 'net'"):
        engines.spark_map_in_arrow(frame.drop("net"), gross)
    with pytest.raises(SignatureError, match="'net' expects DOUBLE, got VARCHAR"):
        engines.spark_map_in_arrow(frame.selectExpr("id", "country AS net"), gross)
    assert engines.spark_map_in_arrow(frame, gross).count() == ROWS


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_spark(spark, gross, table, expected):
    frame = spark.createDataFrame(table).repartition(4)
    mapped = engines.spark_map_in_arrow(frame, gross)
    assert mapped.columns == ["id", "net", "country", "gross"]
    assert by_id(mapped.toArrow().to_pydict()) == expected
    engines.spark_udf(spark, "gross", gross)
    frame.createOrReplaceTempView("sales")
    rows = spark.sql("SELECT id, gross(net, country) AS gross FROM sales").toArrow().to_pydict()
    assert by_id(rows) == expected
    few = engines.spark_map_in_arrow(frame.where("id < 5"), gross)  # whose other partitions are empty
    assert by_id(few.toArrow().to_pydict()) == {i: expected[i] for i in range(5)}
    with pytest.raises(Exception, match="KeyError: 'XX'"):
        spark.sql("SELECT gross(net, 'XX') FROM sales").collect()


# ---- Dask ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_dask(gross, twice, table, expected, parts):
    dask = pytest.importorskip("dask.dataframe", reason=MISSING.format("'dask[dataframe]'"))
    frame = dask.from_pandas(table.to_pandas(), npartitions=4)
    result = engines.dask_map_partitions(frame, gross).compute(scheduler="processes")
    assert by_id(pa.Table.from_pandas(result).to_pydict()) == expected  # pandas' NaN is Arrow's NULL
    inverse = wasi_udf.batch_function("def inverse(id: int) -> float: return 1 / (id - 15_000)")
    with pytest.raises(GuestError, match="inverse: ZeroDivisionError") as caught:
        engines.dask_map_partitions(frame, inverse).compute(scheduler="processes")
    assert (caught.value.row, caught.value.__notes__) == (0, ["in partition 3 of Dask"])
    other = engines.dask_map_partitions(frame, twice).compute(scheduler="processes")
    assert part_rows(pa.Table.from_pandas(other)) == parts
