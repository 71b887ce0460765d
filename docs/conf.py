"""Sphinx settings: MyST pages, NumPy docstrings, no network while building or reading."""

import sys
from pathlib import Path

import dmcjia_opt

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "dmcjia_opt"
author = "The dmcjia_opt developers"
project_copyright = author
version = release = dmcjia_opt.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "from_code", "mathml", "signatures"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
nitpicky = True
default_role = "code"
highlight_language = "text"

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
html_math_renderer = "mathml"
# The notebooks of the gallery are kept without outputs; building runs them, and one that fails fails the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_in_temp = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # extensions/signatures.py shows them
maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_attr_annotations = False
python_use_unqualified_type_names = True
# Names of other projects: this build fetches no inventories that would make them links.
nitpick_ignore_regex = [("py:class", r"(np|npt|pa|pd|torch)\..*|ArrayLike|Figure|Hardness|Label|Path|Prices|Scalar")]

html_theme = "furo"
html_title = f"dmcjia_opt {release}"
html_static_path = ["static"]
html_css_files = ["tables.css"]
html_show_sphinx = False
html_copy_source = False
