"""`report.html`: one self-contained page that shows what became of a run.

`gather.py` counts while the results are folded, in bounded memory; `sheet.py` reads a few stored images back;
`contents.py`, `charts.py` and `words.py` put it all into words and bars; `write.py` makes the page of them with the
template `report.html`.
"""
