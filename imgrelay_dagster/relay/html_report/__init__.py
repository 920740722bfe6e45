"""`report.html`: one self-contained page about a finished run.

`statistics.py` collects bounded statistics while the results are folded. `contact_sheet.py` reads a few stored images
back. `view_model.py` and `charts.py` format everything as text and bars. `render.py` fills the template `report.html`.
"""
