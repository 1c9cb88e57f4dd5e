"""The documentation site: `make docs` builds it into docs/_build/html."""

project = "ntkdist"
author = "The ntkdist developers"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
templates_path: list[str] = []
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "ntkdist"
html_static_path: list[str] = []
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# The docstrings' own layout ("name : what") is prose that docutils reads as definition lists.
suppress_warnings = ["docutils", "myst.xref_missing", "ref.python", "ref.ref", "ref.term"]
