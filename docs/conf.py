"""What Sphinx needs to know to make these pages into HTML: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from libgomd.version import VERSION

project = "gomd"
author = "the developers of gomd"
project_copyright = "the developers of gomd, GNU General Public License, version 2 or later"
release = version = VERSION

extensions = ["myst_parser"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
root_doc = "index"
exclude_patterns = ["_build", "diagrams"]

# Every heading can be linked to, as in `migration.md#what-can-move`. A link that leads nowhere is a warning,
# and `make docs` takes warnings for errors.
myst_heading_anchors = 4

# The variables of Grafana in a statement of SQL.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"gomd {VERSION}"
html_show_sourcelink = True
html_copy_source = True
# Nothing is fetched from outside by a page: the documentation is read on machines without a network, too.
html_use_opensearch = ""
