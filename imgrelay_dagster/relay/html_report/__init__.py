"""`report.html`: one self-contained page that shows what became of a run.

`statistics.py` counts while the results are folded, in bounded memory; `contact_sheet.py` reads a few stored images
back; `view_model.py` and `charts.py` turn it all into text and bars; `render.py` makes the page with the template
`report.html`.
"""
