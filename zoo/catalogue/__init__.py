"""A static web page of everything installed: plain files that open by double click, without a server.

The page itself is `static/`; `entries.py` and `answers.py` write the data beside it, `folder.py` all of it in
one go. What plugins wrote is data in it, never markup.
"""

from zoo.catalogue.answers import Grid
from zoo.catalogue.build import Catalogue, build_catalogue

__all__ = ["Catalogue", "Grid", "build_catalogue"]
