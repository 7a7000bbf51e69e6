"""Sphinx configuration. Warnings are errors (`tox run -e docs`)."""

from importlib.metadata import version as version_of

project = "Allye device protocol"
author = "The Allye device protocol authors"
project_copyright = "2026, The Allye device protocol authors"
release = version = version_of("allye-protocol")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Allye device protocol {release}"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
# The standard library's index is not fetched: the documentation builds without a network.
intersphinx_mapping = {}
nitpicky = False
