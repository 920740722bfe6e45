"""Lists as real tools write them, without any option of imgrelay. Tools that are not installed are skipped.

`docs/lists.md` has the table of what each tool writes. To run all of them:

    .venv/bin/pip install pandas polars duckdb xlsxwriter; apt-get install libreoffice-calc-nogui
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.options import Columns, ReadOptions
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.manifest.sources import open_manifest

A, B, C = (f"https://shop.example/img/{name}.jpg?v=1&w=800" for name in "abc")
NAMES = ["sku", "title", "image_url", "price"]
TABLE: list[list[Any]] = [
    [1001, 'Oak "long" table, 2 m', A, 19.5],
    [1002, "Chair\nred", B, None],
    [1003, "no picture", None, 1.0],
    [1004, "Größe ☃", C, 7.0],
]
TITLES = ['Oak "long" table, 2 m', "Chair\nred", "", "Größe ☃"]
LISTS = {"sku": [1, 2], "images": [[A, B], [C]]}


def tool(name: str) -> Any:
    return pytest.importorskip(name, reason=f"the optional tool {name} is not installed")


def read(path: Path, carry: tuple[str, ...] = ("title",), split: str | None = None) -> list[tuple[str | None, str]]:
    """The URL of each entry and its first carried value; None where there is no URL."""
    rows = open_manifest(str(path), lambda _: MemoryStore(), ReadOptions(Columns(split=split), carry))
    return [(row.url if isinstance(row, ManifestRow) else None, *list(row.carried.values())[:1]) for row in rows]  # type: ignore[misc]


def check(path: Path) -> None:
    """Check that a file holds the rows of `TABLE`, one of which has no URL."""
    found = read(path)
    assert [url for url, _ in found] == [A, B, None, C], path.name
    assert [title for _, title in found][::3] == TITLES[::3], path.name
    assert found[1][1] == TITLES[1], path.name


def check_lists(path: Path) -> None:
    assert [url for url, *_ in read(path, (), ",")] == [A, B, C], path.name
    assert [url for url, *_ in read(path, ())] == [None, C], path.name


def test_pandas(tmp_path: Path):
    pandas = tool("pandas")
    frame = pandas.DataFrame(TABLE, columns=NAMES)
    writers: dict[str, Callable[[Path], None]] = {
        "index.csv": frame.to_csv,
        "no-index.csv": lambda path: frame.to_csv(path, index=False),
        "excel.csv": lambda path: frame.to_csv(path, sep=";", encoding="utf-8-sig", lineterminator="\r\n"),
        "utf-16.csv": lambda path: frame.to_csv(path, sep="\t", encoding="utf-16"),
        "compressed.csv.gz": frame.to_csv,
        "table.parquet": frame.to_parquet,
        "indexed.parquet": lambda path: frame.set_index("sku").to_parquet(path),
        "table.xlsx": frame.to_excel,
        "records.json": lambda path: frame.to_json(path, orient="records"),
        "lines.jsonl": lambda path: frame.to_json(path, orient="records", lines=True),
    }
    for name, write in writers.items():
        write(tmp_path / name)
        check(tmp_path / name)
    lists = pandas.DataFrame(LISTS)
    lists.to_csv(tmp_path / "lists.csv")
    lists.to_parquet(tmp_path / "lists.parquet")
    for name in ("lists.csv", "lists.parquet"):
        check_lists(tmp_path / name)
    for orient in ("split", "table"):
        frame.to_json(tmp_path / "other.json", orient=orient)
        with pytest.raises(RelayError, match=r"is a list of texts that are no URLs|has no column 'url'"):
            read(tmp_path / "other.json")


def test_polars(tmp_path: Path):
    polars = tool("polars")
    frame = polars.DataFrame(TABLE, schema=NAMES, orient="row")
    frame.write_csv(tmp_path / "table.csv")
    frame.write_csv(tmp_path / "bom.csv", include_bom=True, separator="|")
    frame.write_ndjson(tmp_path / "table.ndjson")
    frame.write_json(tmp_path / "table.json")
    frame.write_parquet(tmp_path / "table.parquet")
    frame.with_columns(polars.col("image_url").cast(polars.Categorical)).write_parquet(tmp_path / "categories.parquet")
    for path in sorted(tmp_path.iterdir()):
        check(path)
    lists = polars.DataFrame(LISTS)
    lists.write_parquet(tmp_path / "lists.parquet")
    lists.write_ndjson(tmp_path / "lists.ndjson")
    for name in ("lists.parquet", "lists.ndjson"):
        check_lists(tmp_path / name)


def test_duckdb(tmp_path: Path):
    connection = tool("duckdb").connect()
    connection.execute("CREATE TABLE shop (sku INTEGER, title TEXT, image_url TEXT, price DOUBLE)")
    connection.executemany("INSERT INTO shop VALUES (?, ?, ?, ?)", TABLE)
    for name, options in (
        ("table.csv", "HEADER"),
        ("table.tsv", "HEADER, DELIMITER '\t'"),
        ("table.parquet", "FORMAT parquet"),
        ("lines.json", "FORMAT json"),
        ("array.json", "FORMAT json, ARRAY true"),
    ):
        connection.execute(f"COPY shop TO '{tmp_path / name}' ({options})")
        check(tmp_path / name)
    connection.execute("CREATE TABLE lists (sku INTEGER, images TEXT[])")
    connection.executemany("INSERT INTO lists VALUES (?, ?)", list(zip(*LISTS.values(), strict=True)))
    for name in ("lists.csv", "lists.parquet"):
        connection.execute(f"COPY lists TO '{tmp_path / name}'")
        check_lists(tmp_path / name)


def test_xlsxwriter(tmp_path: Path):
    xlsxwriter = tool("xlsxwriter")
    for constant in (False, True):  # strings of their own, or in each cell
        with xlsxwriter.Workbook(tmp_path / "table.xlsx", {"constant_memory": constant}) as book:
            sheet = book.add_worksheet()
            for number, row in enumerate([NAMES, *TABLE]):
                sheet.write_row(number, 0, row)
        check(tmp_path / "table.xlsx")
    with xlsxwriter.Workbook(tmp_path / "formula.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, NAMES)
        sheet.write_formula(1, 2, f'="{A}"', None, A)
        sheet.write_formula(2, 2, f'="{B}"')  # saved with the value 0
        sheet.write_url(3, 2, C, string="Picture")  # a link whose text is something else
    assert [url for url, *_ in read(tmp_path / "formula.xlsx", ())] == [A, "0", "Picture"]


def test_openpyxl(tmp_path: Path):
    openpyxl = tool("openpyxl")
    for write_only in (False, True):
        book = openpyxl.Workbook(write_only=write_only)
        sheet = book.create_sheet("list", 0)
        for row in [NAMES, *TABLE]:
            sheet.append(row)
        book.save(tmp_path / "table.xlsx")
        check(tmp_path / "table.xlsx")
    book = openpyxl.Workbook()
    book.active.append(NAMES)
    book.active.append([1, "formula without a saved value", f'=HYPERLINK("{A}")'])
    book.save(tmp_path / "formula.xlsx")
    assert read(tmp_path / "formula.xlsx") == [(None, "formula without a saved value")]


def test_libreoffice(tmp_path: Path):
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("the optional tool LibreOffice is not installed")
    openpyxl = tool("openpyxl")
    book = openpyxl.Workbook()
    for row in [NAMES, *TABLE]:
        book.active.append(row)
    book.save(tmp_path / "table.xlsx")
    text = "Text - txt - csv (StarCalc)"
    for target, name in (
        ("xlsx:Calc MS Excel 2007 XML", "table.xlsx"),
        (f"csv:{text}:44,34,76,1", "table.csv"),  # comma, quotation mark, UTF-8
        (f"csv:{text}:59,34,65535,1", "table.csv"),  # semicolon, UTF-16
        (f"tsv:{text}:9,34,76,1", "table.tsv"),
    ):
        out = tmp_path / "out"
        arguments = ["--headless", f"-env:UserInstallation=file://{tmp_path}/profile", "--convert-to", target]
        command = [office, *arguments, "--outdir", str(out), str(tmp_path / "table.xlsx")]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        check(out / name)


SHOPIFY = f"""Handle,Title,Body (HTML),Variant SKU,Image Src,Image Position,Variant Image
oak,Oak,"<p>Solid oak.</p>
<p>""Long""</p>",OT-1,{A},1,
oak,,,OT-2,,,{B}
oak,,,,{B},2,
"""

WOOCOMMERCE = f"""\ufeffID,Type,SKU,Name,Description,Images,Position
12,simple,woo-1,"Hoodie, blue","<p>Warm</p>\\n<p>Soft</p>","{A}, {B}",0
13,variation,woo-2,Cap,,,0
"""

MERCHANT = f"""id\ttitle\tdescription\tlink\timage_link\tadditional_image_link\tprice
1\tCup\t"A cup, ""white\"""\thttps://shop.example/p/1\t{A.replace("&", "&amp;")}\t{B},{C}\t9.00 EUR
"""


def test_exports_of_shops(tmp_path: Path):
    """Files like those that Shopify, WooCommerce and Google Merchant Center write and read."""
    shopify, woocommerce, merchant = (tmp_path / name for name in ("products.csv", "wc.csv", "feed.tsv"))
    shopify.write_text(SHOPIFY)
    assert read(shopify, ("Title",)) == [(A, "Oak"), (None, ""), (B, "")]
    woocommerce.write_text(WOOCOMMERCE.replace("\n", "\r\n"))
    assert read(woocommerce, ("SKU",), ",") == [(A, "woo-1"), (B, "woo-1"), (None, "woo-2")]
    merchant.write_text(MERCHANT)
    assert read(merchant, ("title",)) == [(A, "Cup")]
    feed = merchant.rename(tmp_path / "feed.txt")
    with pytest.raises(RelayError, match=r"is a table: its first line names columns; let its name end in .csv or .tsv"):
        read(feed)
