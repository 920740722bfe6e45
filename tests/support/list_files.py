"""Lists of images in every format, with columns of unusual names."""

import json
from pathlib import Path


def write_list(path: Path, urls: list[str]) -> Path:
    """Write a list in the format that the path's suffix names: the URLs in column `Picture`, and a column `Sku`."""
    rows = [{"Sku": f"S{number}", "Picture": url} for number, url in enumerate(urls, 1)]
    match path.suffix:
        case ".parquet":
            import pyarrow
            import pyarrow.parquet

            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        case ".xlsx":
            import openpyxl

            book = openpyxl.Workbook()
            for row in [["Sku", "Picture"], *(list(row.values()) for row in rows)]:
                book.active.append(row)
            book.save(path)
        case ".json":
            path.write_text(json.dumps(rows, indent=1))
        case ".tsv":
            path.write_text("".join("\t".join(row) + "\n" for row in [["Sku", "Picture"], *map(dict.values, rows)]))
        case suffix:
            raise AssertionError(suffix)
    return path
