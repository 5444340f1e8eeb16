"""A report: one page of HTML that a manager opens, prints or forwards, whole in itself.

`render` writes it of calls that you have. A `Report` takes calls one by one, as they are fetched.
"""

from boxis_async.report.report import Report, render

__all__ = ["Report", "render"]

# Users import these names from here, so reprs and the reference name this module too.
for _public in (Report, render):
    _public.__module__ = __name__
